//! Commands with a Unicode character of their own.

/// Greek letters by LaTeX name. Small letters are slanted in mathematics, capitals upright.
pub(super) fn greek(name: &str) -> Option<char> {
    Some(match name {
        "alpha" => 'α',
        "beta" => 'β',
        "gamma" => 'γ',
        "delta" => 'δ',
        "epsilon" | "varepsilon" => 'ε',
        "zeta" => 'ζ',
        "eta" => 'η',
        "theta" => 'θ',
        "vartheta" => 'ϑ',
        "iota" => 'ι',
        "kappa" => 'κ',
        "lambda" => 'λ',
        "mu" => 'μ',
        "nu" => 'ν',
        "xi" => 'ξ',
        "pi" => 'π',
        "rho" | "varrho" => 'ρ',
        "sigma" => 'σ',
        "tau" => 'τ',
        "upsilon" => 'υ',
        "phi" | "varphi" => 'φ',
        "chi" => 'χ',
        "psi" => 'ψ',
        "omega" => 'ω',
        "Gamma" => 'Γ',
        "Delta" => 'Δ',
        "Theta" => 'Θ',
        "Lambda" => 'Λ',
        "Xi" => 'Ξ',
        "Pi" => 'Π',
        "Sigma" => 'Σ',
        "Upsilon" => 'Υ',
        "Phi" => 'Φ',
        "Psi" => 'Ψ',
        "Omega" => 'Ω',
        _ => return None,
    })
}

/// Signs and relations, always upright.
pub(super) fn sign(name: &str) -> Option<&'static str> {
    Some(match name {
        "odot" | "sun" => "⊙",
        "oplus" => "⊕",
        "times" => "×",
        "cdot" => "·",
        "pm" => "±",
        "mp" => "∓",
        "div" => "÷",
        "approx" => "≈",
        "sim" => "∼",
        "simeq" => "≃",
        "equiv" => "≡",
        "propto" => "∝",
        "infty" => "∞",
        "partial" => "∂",
        "nabla" => "∇",
        "sum" => "∑",
        "prod" => "∏",
        "int" => "∫",
        "le" | "leq" | "lesssim" => "≤",
        "ge" | "geq" | "gtrsim" => "≥",
        "ne" | "neq" => "≠",
        "ll" => "≪",
        "gg" => "≫",
        "to" | "rightarrow" => "→",
        "leftarrow" => "←",
        "langle" => "⟨",
        "rangle" => "⟩",
        "ell" => "ℓ",
        "hbar" => "ℏ",
        "star" => "⋆",
        "ast" => "∗",
        "dagger" => "†",
        "prime" | "arcmin" => "′",
        "arcsec" => "″",
        "circ" | "degree" | "deg" => "°",
        "perp" => "⊥",
        "parallel" => "∥",
        "AA" => "Å",
        "mid" | "vert" | "lvert" | "rvert" => "|",
        "|" | "Vert" => "‖",
        "ldots" | "dots" | "cdots" => "…",
        "in" => "∈",
        "," | ":" | ";" | "thinspace" => "\u{2009}",
        " " | "space" => "\u{a0}",
        "quad" | "qquad" => "\u{2003}",
        "!" | "left" | "right" | "big" | "Big" | "displaystyle" | "textstyle" | "limits" => "",
        "%" => "%",
        "_" => "_",
        "&" => "&",
        "#" => "#",
        "$" => "$",
        "{" => "{",
        "}" => "}",
        _ => return None,
    })
}

/// Functions written upright, with a thin space before their argument.
pub(super) fn is_operator(name: &str) -> bool {
    matches!(
        name,
        "log"
            | "ln"
            | "lg"
            | "exp"
            | "sin"
            | "cos"
            | "tan"
            | "sinh"
            | "cosh"
            | "tanh"
            | "arcsin"
            | "arccos"
            | "arctan"
            | "min"
            | "max"
            | "arg"
            | "det"
            | "lim"
            | "Pr"
            | "sup"
            | "inf"
    )
}

/// Accents, as the combining character that follows its letter.
pub(super) fn accent(name: &str) -> Option<char> {
    Some(match name {
        "hat" | "widehat" => '\u{302}',
        "bar" | "overline" => '\u{304}',
        "tilde" | "widetilde" => '\u{303}',
        "dot" => '\u{307}',
        "ddot" => '\u{308}',
        "vec" => '\u{20d7}',
        _ => return None,
    })
}

/// Commands that choose the face of their argument, or of the rest of the group in the old form `{\rm …}`.
pub(super) fn face(name: &str) -> Option<super::Slant> {
    Some(match name {
        "rm" | "mathrm" | "text" | "textrm" | "textnormal" | "operatorname" | "mathsf" | "sf" | "mathbf" | "bf" | "textbf"
        | "boldsymbol" | "bm" | "mathbb" | "mathtt" => super::Slant::Upright,
        "it" | "mathit" | "textit" | "mathcal" | "cal" | "mathscr" | "mathnormal" => super::Slant::Italic,
        _ => return None,
    })
}
