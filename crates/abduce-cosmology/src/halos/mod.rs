//! Haloes: friends of friends, spherical overdensity, and the catalogue that carries their definition.

pub mod catalogue;
mod error;
pub mod friends;
pub(crate) mod rows;
pub mod spherical;
mod union_find;

pub use catalogue::{HaloCatalogue, HaloDefinition};
pub use error::HaloError;
pub use friends::{FriendsOfFriends, Groups, friends_of_friends};
pub use spherical::{Spheres, spherical_overdensity};
