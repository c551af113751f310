//! Traefik's rules, as far as we write them.

use fresco_core::Hostname;

/// The rule for these host names. A [`Hostname`] holds nothing that could end the quotes.
pub(super) fn hosts(hosts: &[Hostname]) -> String {
    let matchers: Vec<_> = hosts.iter().map(|host| format!("Host(`{host}`)")).collect();
    matchers.join(" || ")
}

/// The host names of a rule; those that are no host names are left out.
pub(super) fn parse(rule: &str) -> Vec<Hostname> {
    let matchers = rule.split("Host(`").skip(1);
    matchers.filter_map(|rest| rest.split('`').next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_leads_back_to_its_hosts() {
        let names: Vec<Hostname> =
            ["a.example.org", "b.example.org"].map(|name| name.parse().unwrap()).into();
        let rule = hosts(&names);
        assert_eq!(rule, "Host(`a.example.org`) || Host(`b.example.org`)");
        assert_eq!(parse(&rule), names);
    }

    #[test]
    fn other_rules_have_no_hosts_of_ours() {
        for rule in ["", "PathPrefix(`/api`)", "Host(`", "Host(`A B`)", "HostRegexp(`.+`)"] {
            assert_eq!(parse(rule), [], "{rule}");
        }
    }
}
