//! Traefik's rules, as far as we write them.

use fresco_core::Hostname;

/// The rule for these host names. A [`Hostname`] holds nothing that could end the quotes.
pub(super) fn hosts(hosts: &[Hostname]) -> String {
    let matchers: Vec<_> = hosts.iter().map(|host| format!("Host(`{host}`)")).collect();
    matchers.join(" || ")
}

/// The rule for a look at this path of these hosts, which shows nothing: `HEAD`, and nothing else.
/// `None` for a path that can't stand in a rule, because it could end the quotes.
pub(super) fn looks(hosts_: &[Hostname], path: &str) -> Option<String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let safe = path.starts_with('/') && !path.contains('`');
    safe.then(|| format!("({}) && Path(`{path}`) && Method(`HEAD`)", hosts(hosts_)))
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
    fn a_look_is_at_one_path_of_the_same_hosts() {
        let names: Vec<Hostname> =
            ["a.example.org", "b.example.org"].map(|name| name.parse().unwrap()).into();
        let rule = looks(&names, "/signin?x=1").unwrap();
        assert_eq!(
            rule,
            "(Host(`a.example.org`) || Host(`b.example.org`)) && Path(`/signin`) && Method(`HEAD`)"
        );
        assert_eq!(parse(&rule), names);
        assert_eq!(looks(&names, "/a`) || PathPrefix(`/"), None);
    }

    #[test]
    fn other_rules_have_no_hosts_of_ours() {
        for rule in ["", "PathPrefix(`/api`)", "Host(`", "Host(`A B`)", "HostRegexp(`.+`)"] {
            assert_eq!(parse(rule), [], "{rule}");
        }
    }
}
