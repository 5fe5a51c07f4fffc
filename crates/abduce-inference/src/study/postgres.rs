//! The record of a study in a PostgreSQL database, for hundreds of workers or none that share a file system.
//!
//! One table holds the lines of all studies; the lines of a study are read in the order of their numbers, which a session-level advisory
//! lock makes the order in which they were appended. A connection that ends, however it ends, gives its lock back.

use super::StudyError;
use super::log::Log;
use super::record::Record;
use super::storage::Patience;
use ::postgres::{Client, Config, NoTls};

/// A record in a database.
pub type PostgresRecord = Record<PostgresLog>;

/// What the database's driver says.
pub use ::postgres::Error as DatabaseError;

/// The lines of one study in a database.
pub struct PostgresLog {
    client: Client,
    place: String,
    study: String,
    /// Key of the advisory lock.
    key: i64,
    /// Number of the last line that was read.
    read: i64,
}

impl std::fmt::Debug for PostgresLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresLog").field("place", &self.place).field("study", &self.study).field("read", &self.read).finish()
    }
}

/// Numbers of lines are shared by all studies; only their order within one matters.
const TABLE: &str = "create table if not exists abduce_study_line(
    id bigserial primary key, study text not null, line text not null, written timestamptz not null default now());
create index if not exists abduce_study_line_study on abduce_study_line(study, id)";
/// Two processes that make the table at once would collide in the catalogue: they take turns under this key.
const TABLE_KEY: i64 = 0x6162_6475_6365;

impl PostgresRecord {
    /// The record of `study` in the database that `config` leads to; the table is made where there is none. `place` names the database in messages.
    ///
    /// # Errors
    /// The database cannot be reached or read, or the record is of a newer version.
    pub fn connect(config: &Config, place: &str, study: &str, patience: Patience) -> Result<Self, StudyError> {
        Self::new(PostgresLog::connect(config, place, study)?, patience)
    }
}

impl PostgresLog {
    /// As [`PostgresRecord::connect`], without the state.
    ///
    /// # Errors
    /// The database cannot be reached or written.
    pub fn connect(config: &Config, place: &str, study: &str) -> Result<Self, StudyError> {
        let connected = config.connect(NoTls).and_then(|mut client| {
            client.query("select pg_advisory_lock($1)", &[&TABLE_KEY])?;
            client.batch_execute(TABLE)?;
            client.query("select pg_advisory_unlock($1)", &[&TABLE_KEY])?;
            Ok(client)
        });
        let client = connected.map_err(|source| StudyError::Database { place: place.to_owned(), source })?;
        Ok(Self { client, place: place.to_owned(), study: study.to_owned(), key: lock_key(study), read: 0 })
    }

    /// Whether the study has any line.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn exists(&mut self) -> Result<bool, StudyError> {
        let found = self.client.query_opt("select 1 from abduce_study_line where study = $1 limit 1", &[&self.study]);
        self.of_place(found).map(|row| row.is_some())
    }

    /// Forgets the study.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn forget(&mut self) -> Result<(), StudyError> {
        let done = self.client.execute("delete from abduce_study_line where study = $1", &[&self.study]);
        self.of_place(done).map(|_| ())
    }

    fn of_place<T>(&self, result: Result<T, DatabaseError>) -> Result<T, StudyError> {
        result.map_err(|source| StudyError::Database { place: self.place.clone(), source })
    }
}

/// Advisory locks have numbers: 60 bits of the name's hash.
fn lock_key(study: &str) -> i64 {
    let hash = abduce_data::artefact::sha256(study.as_bytes());
    i64::from_str_radix(&hash[..15], 16).unwrap_or_default()
}

impl Log for PostgresLog {
    fn place(&self) -> String {
        format!("{}, study {}", self.place, self.study)
    }

    fn lock(&mut self) -> Result<(), StudyError> {
        let done = self.client.query("select pg_advisory_lock($1)", &[&self.key]);
        self.of_place(done).map(|_| ())
    }

    fn unlock(&mut self) {
        // A connection that fails here has ended, and the lock with it.
        self.client.query("select pg_advisory_unlock($1)", &[&self.key]).ok();
    }

    fn read_new(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), StudyError> {
        let query = "select id, line from abduce_study_line where study = $1 and id > $2 order by id";
        let rows = self.client.query(query, &[&self.study, &self.read]);
        for row in self.of_place(rows)? {
            take(row.get::<_, &str>(1).as_bytes());
            self.read = row.get(0);
        }
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> Result<(), StudyError> {
        let line = String::from_utf8_lossy(line);
        let done = self.client.execute("insert into abduce_study_line(study, line) values ($1, $2)", &[&self.study, &line.as_ref()]);
        self.of_place(done).map(|_| ())
    }
}
