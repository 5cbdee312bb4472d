//! Expressions as operations make them.

use super::{Branch, Comparison, Constant, Expression};
use crate::types::Type;

impl Expression {
    /// A whole number.
    pub fn integer(number: i64) -> Self {
        Self::from(Constant::integer(number))
    }

    /// True or false.
    pub fn boolean(truth: bool) -> Self {
        Self::from(Constant::boolean(truth))
    }

    /// Text.
    pub fn text(text: &str) -> Self {
        Self::from(Constant::text(text))
    }

    /// A blank of the type.
    pub fn blank(kind: Type) -> Self {
        Self::from(Constant::blank(kind))
    }

    /// The value as that type, where it holds it exactly: see [`Expression::Cast`].
    pub fn cast(self, to: Type) -> Option<Self> {
        let from = self.kind();
        let holds = match (from, to) {
            _ if from == to => return Some(self),
            (_, Type::Text) | (Type::Date, Type::Timestamp) => true,
            (_, Type::Decimal(scale)) => from.is_number() && from.scale() <= scale,
            _ => false,
        };
        holds.then(|| Self::Cast { of: Box::new(self), kind: to })
    }

    /// Both as the type that holds both; `None` where there is none.
    pub fn alike(self, other: Self) -> Option<(Self, Self)> {
        let common = self.kind().common(other.kind())?;
        Some((self.cast(common)?, other.cast(common)?))
    }

    /// A comparison of two values of one type.
    pub fn compare(self, comparison: Comparison, right: Self) -> Self {
        Self::Compare { comparison, left: Box::new(self), right: Box::new(right) }
    }

    /// Whether it equals a value of its type.
    pub fn equals(self, right: Self) -> Self {
        self.compare(Comparison::Equal, right)
    }

    /// The opposite of a condition.
    #[expect(clippy::should_implement_trait, reason = "it builds the expression of that name")]
    pub fn not(self) -> Self {
        Self::Not { of: Box::new(self) }
    }

    /// Whether it is blank.
    pub fn is_blank(self) -> Self {
        Self::IsBlank { of: Box::new(self) }
    }

    /// Text in lower case; anything else as it is.
    pub fn folded(self) -> Self {
        if self.kind() == Type::Text { Self::Lower { of: Box::new(self) } } else { self }
    }

    /// `then` where the condition is true, else `otherwise`; both are of one type.
    pub fn case(when: Self, then: Self, otherwise: Self) -> Self {
        Self::Case { branches: vec![Branch { when, then }], otherwise: Box::new(otherwise) }
    }

    /// It, or a value of its type where it is blank.
    pub fn or_else(self, other: Self) -> Self {
        Self::Coalesce { of: vec![self, other] }
    }
}

impl From<Constant> for Expression {
    fn from(constant: Constant) -> Self {
        Self::Constant { constant }
    }
}
