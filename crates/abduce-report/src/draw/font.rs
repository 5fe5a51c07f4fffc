//! Widths and outlines of the embedded faces, DejaVu Sans Condensed and its oblique: free, and complete in Greek and mathematical signs.

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use crate::error::FigureError;
use crate::label::{Label, Origin, Slant};

/// Families for SVG viewers. Each is as wide as the embedded face or narrower, so that what was measured as fitting fits.
pub(crate) const FAMILIES: &str = "'DejaVu Sans Condensed','Helvetica Neue',Helvetica,Arial,'Liberation Sans',sans-serif";

/// The two faces.
pub(crate) struct Fonts {
    upright: Face<'static>,
    italic: Face<'static>,
}

/// Horizontal places of a label's runs, in units of its size.
pub(crate) struct Placement {
    /// Left edge of each run.
    pub(crate) left: Vec<f64>,
    /// Right edge of each run.
    pub(crate) right: Vec<f64>,
    /// Width of the whole label.
    pub(crate) width: f64,
}

impl Fonts {
    pub(crate) fn embedded() -> Result<Self, FigureError> {
        let face = |bytes| Face::parse(bytes, 0).map_err(|error| FigureError::Drawing { reason: error.to_string() });
        Ok(Self { upright: face(dejavu::sans_condensed::regular())?, italic: face(dejavu::sans_condensed::oblique())? })
    }

    pub(crate) fn face(&self, slant: Slant) -> &Face<'static> {
        match slant {
            Slant::Upright => &self.upright,
            Slant::Italic => &self.italic,
        }
    }

    /// Calls `place(glyph, left, em)` for each glyph of a text, `left` in units of the text's size; gives the text's width.
    pub(crate) fn glyphs(&self, text: &str, slant: Slant, mut place: impl FnMut(GlyphId, f64)) -> f64 {
        let face = self.face(slant);
        let em = f64::from(face.units_per_em());
        let mut cursor = 0.0;
        let mut previous_centre = 0.0;
        for character in text.chars() {
            let glyph = face.glyph_index(character).unwrap_or(GlyphId(0));
            let advance = f64::from(face.glyph_hor_advance(glyph).unwrap_or(0)) / em;
            if is_combining(character) {
                // Accents are centred over the letter before them; they take no room.
                let centre = face.glyph_bounding_box(glyph).map_or(0.0, |b| (f64::from(b.x_min) + f64::from(b.x_max)) / (2.0 * em));
                place(glyph, previous_centre - centre);
                continue;
            }
            place(glyph, cursor);
            previous_centre = cursor + advance / 2.0;
            cursor += advance;
        }
        cursor
    }

    pub(crate) fn place(&self, label: &Label) -> Placement {
        let mut placement = Placement { left: Vec::new(), right: Vec::new(), width: 0.0 };
        let mut cursor = 0.0_f64;
        for run in &label.runs {
            let left = match run.origin {
                Origin::Next => cursor,
                Origin::Above(first) => placement.left.get(first).copied().unwrap_or(cursor),
                Origin::Clear => placement.width,
            };
            cursor = left + run.scale * self.glyphs(&run.text, run.slant, |_, _| {});
            placement.width = placement.width.max(cursor);
            placement.left.push(left);
            placement.right.push(cursor);
        }
        placement
    }

    /// Width of a label set in `size` pixels.
    pub(crate) fn width(&self, label: &Label, size: f64) -> f64 {
        self.place(label).width * size
    }

    /// The label, and a size not above `size`, such that it is at most `room` pixels wide: first smaller down to 70 %, then cut with an
    /// ellipsis.
    pub(crate) fn fit(&self, label: &Label, size: f64, room: f64) -> (Label, f64) {
        let width = self.width(label, size);
        if width <= room {
            return (label.clone(), size);
        }
        let smaller = size * (room / width).max(0.7);
        let mut cut = label.clone();
        // The text is shortened once by proportion, then by characters: a hostile label of a megabyte must not take minutes.
        let keep = ((room / (width * smaller / size)).min(1.0) * label.plain().chars().count() as f64).ceil() as usize + 1;
        if smaller > size * 0.7 + 1e-9 {
            return (cut, smaller);
        }
        truncate(&mut cut, keep);
        while !cut.is_empty() && self.width(&with_ellipsis(&cut), smaller) > room {
            let fewer = cut.plain().chars().count().saturating_sub(1);
            truncate(&mut cut, fewer);
        }
        (with_ellipsis(&cut), smaller)
    }

    /// Adds a glyph's outline to `builder`; coordinates in font units, y upwards.
    pub(crate) fn outline(&self, glyph: GlyphId, slant: Slant, builder: &mut dyn OutlineBuilder) {
        // Spaces have no outline: nothing to add is not a fault.
        self.face(slant).outline_glyph(glyph, builder);
    }
}

fn is_combining(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{20d0}'..='\u{20ff}')
}

fn truncate(label: &mut Label, keep: usize) {
    let mut left = keep;
    for run in &mut label.runs {
        let length = run.text.chars().count();
        if length > left {
            run.text = run.text.chars().take(left).collect();
        }
        left -= length.min(left);
    }
    label.runs.retain(|run| !run.text.is_empty());
    // A shortened label has lost what its stacked scripts refer to.
    for run in &mut label.runs {
        run.origin = Origin::Next;
    }
}

fn with_ellipsis(label: &Label) -> Label {
    label.clone().then(Label::text("…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_a_label_can_become_has_a_glyph() {
        let fonts = Fonts::embedded().unwrap();
        let signs = "αβγδεζηθϑικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ⊙⊕×·±∓÷≈∼≃≡∝∞∂∇∑∏∫≤≥≠≪≫→←⟨⟩ℓℏ⋆∗†′″°⊥∥Å‖…∈√−⁻¹²\u{2009}\u{200a}\u{a0}\u{2003}\u{302}\u{303}\u{304}\u{307}\u{308}\u{20d7}";
        for character in signs.chars() {
            assert!(fonts.face(Slant::Upright).glyph_index(character).is_some(), "no glyph for {character:?} (U+{:04X})", character as u32);
        }
        for character in "abcxyzαβγδεζηθικλμνξπρστυφχψω".chars() {
            assert!(fonts.face(Slant::Italic).glyph_index(character).is_some(), "no slanted {character:?}");
        }
    }

    #[test]
    fn a_label_that_is_too_wide_is_cut_to_its_room() {
        let fonts = Fonts::embedded().unwrap();
        let label = Label::parse(&"wide ".repeat(20_000));
        let (cut, size) = fonts.fit(&label, 12.0, 100.0);
        assert!(fonts.width(&cut, size) <= 100.0 && cut.plain().ends_with('…'));
        let short = Label::parse(r"\Omega_m");
        assert_eq!(fonts.fit(&short, 12.0, 100.0), (short.clone(), 12.0));
    }

    #[test]
    fn stacked_scripts_share_their_left_edge() {
        let fonts = Fonts::embedded().unwrap();
        let placement = fonts.place(&Label::parse(r"M_{500}^2 x"));
        assert_eq!(placement.left[1], placement.left[2]);
        assert!(placement.left[3] >= placement.right[1]);
    }
}
