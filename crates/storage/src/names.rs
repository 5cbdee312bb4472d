//! The names that keys are made of. Every key begins with the tenant, so that access can be cut along it.

/// The tenant of an installation that has only one.
pub const DEFAULT_TENANT: &str = "default";

/// Top folders of the input bucket, in which the tenant `default` may leave its own name out.
const FOLDERS: [&str; 3] = ["input", "intake", "batches"];

/// Whether `text` may name a tenant: 1 to 32 lower-case letters and digits, and not the name of a top folder.
pub fn is_tenant(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && !FOLDERS.contains(&text)
}

/// Whether `text` may name a feed, a reference table, a ledger or a batch: 1 to 64 lower-case letters, digits, `-`, `_`
/// and `.`, the first a letter or digit (Frictionless' pattern for resource names, cut to 64).
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_keys_paths_and_executions() {
        for name in ["orders", "0", "shop-eu_1.v2"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", "A", "a/b", "a#b", "a b", "é", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_tenant("acme2") && !is_tenant("acme-2") && !is_tenant("batches") && !is_tenant(""));
    }
}
