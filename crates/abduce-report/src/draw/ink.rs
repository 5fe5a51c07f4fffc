//! Colours by meaning, in a light and a dark set.

/// Light or dark surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// Dark ink on white.
    #[default]
    Light,
    /// Light ink on near-black.
    Dark,
}

/// What a colour means. Series follow Okabe & Ito (2008), which stay apart for every common kind of colour blindness; the dark set has the
/// same hues lightened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Paper,
    Text,
    Muted,
    Frame,
    Grid,
    /// Neutral grey of expected bands.
    Band,
    /// True values and thresholds.
    Truth,
    Series(usize),
}

pub(crate) const SERIES: usize = 7;

impl Ink {
    pub(crate) const ALL: [Self; 7 + SERIES] = [
        Self::Paper,
        Self::Text,
        Self::Muted,
        Self::Frame,
        Self::Grid,
        Self::Band,
        Self::Truth,
        Self::Series(0),
        Self::Series(1),
        Self::Series(2),
        Self::Series(3),
        Self::Series(4),
        Self::Series(5),
        Self::Series(6),
    ];

    pub(crate) fn rgb(self, theme: Theme) -> [u8; 3] {
        let (light, dark): (u32, u32) = match self {
            Self::Paper => (0xffffff, 0x15181d),
            Self::Text => (0x1c2126, 0xe6e9ed),
            Self::Muted => (0x5b6570, 0x9aa5b1),
            Self::Frame => (0x7b8691, 0x7d8894),
            Self::Grid => (0xe6e9ec, 0x2a3038),
            Self::Band => (0x8b97a4, 0x8794a3),
            Self::Truth => (0xc4161c, 0xff6b66),
            Self::Series(index) => match index % SERIES {
                0 => (0x0067a5, 0x5cb3ee),
                1 => (0xd98a00, 0xf3b13c),
                2 => (0x00876a, 0x3fcfa6),
                3 => (0xb25590, 0xe69bc8),
                4 => (0x3ba3dc, 0x9bdcff),
                5 => (0x6b5b2a, 0xcdbb7a),
                _ => (0x4b4f57, 0xc3c8cf),
            },
        };
        let colour = if theme == Theme::Light { light } else { dark };
        [(colour >> 16) as u8, (colour >> 8) as u8, colour as u8]
    }

    pub(crate) fn hex(self, theme: Theme) -> String {
        let [red, green, blue] = self.rgb(theme);
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Short name for classes in style sheets.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Paper => "paper".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Muted => "muted".to_owned(),
            Self::Frame => "frame".to_owned(),
            Self::Grid => "grid".to_owned(),
            Self::Band => "band".to_owned(),
            Self::Truth => "truth".to_owned(),
            Self::Series(index) => format!("s{}", index % SERIES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2 relative luminance and contrast ratio.
    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let luminance = |rgb: [u8; 3]| {
            let linear = |c: u8| {
                let c = f64::from(c) / 255.0;
                if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2])
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_and_lines_stand_out_in_both_themes() {
        for theme in [Theme::Light, Theme::Dark] {
            let paper = Ink::Paper.rgb(theme);
            for ink in [Ink::Text, Ink::Muted] {
                assert!(contrast(ink.rgb(theme), paper) >= 4.5, "{ink:?} {theme:?}");
            }
            for index in 0..SERIES {
                // 2.5 instead of WCAG's 3 for graphics: orange and sky blue would lose their hue; lines also differ by dash.
                assert!(contrast(Ink::Series(index).rgb(theme), paper) >= 2.5, "series {index} {theme:?}");
            }
        }
    }
}
