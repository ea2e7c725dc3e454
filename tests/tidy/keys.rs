//! Every key of `config/reference.toml` is changed by a test that looks at the running gateway. A new key needs a test, and its
//! line here.

use std::collections::BTreeSet;
use std::fs;

use crate::{none, root};

/// The keys that a test changes: the test, by file and name, and the keys as they stand in `config/reference.toml`, with `*` for a
/// name that users choose.
const SEEN: &[(&str, &str, &[&str])] = &[
    ("keys_process", "include_brings_in_other_files_which_are_watched_too", &["include"]),
    ("keys_process", "state_dir_is_where_the_gateway_keeps_what_it_makes", &["server.state_dir"]),
    ("keys_process", "workers_is_the_number_of_threads_that_serve", &["server.workers"]),
    ("keys_process", "the_admin_listener_is_where_the_config_says_or_nowhere", &["admin.listen"]),
    ("keys_process", "token_file_is_made_where_it_is_missing_and_taken_where_it_is_not", &["admin.token_file"]),
    ("startup", "the_drain_deadline_cuts_what_does_not_end", &["server.drain"]),
    ("forwarding", "what_a_trusted_proxy_says_is_extended", &["server.trusted_proxies"]),
    (
        "acl",
        "the_longest_rule_takes_the_place_of_the_global_list",
        &["acl.allow", "acl.rule.path", "acl.rule.allow", "acl.rule.deny"],
    ),
    ("acl", "a_routes_list_takes_the_place_of_rules", &["acl.deny", "route.acl.allow", "route.acl.deny"]),
    ("acl", "what_is_observed_is_told_and_goes_on", &["acl.mode", "route.acl.mode"]),
    ("keys_logs", "format_json_is_for_programs", &["log.format"]),
    ("keys_logs", "level_says_how_much_is_told", &["log.level"]),
    ("keys_logs", "sample_leaves_out_requests_but_no_failures", &["log.access.sample"]),
    ("keys_logs", "the_access_log_can_be_a_file_which_sighup_opens_anew", &["log.access.path"]),
    (
        "rate_limits",
        "a_client_beyond_per_ip_is_told_when_to_come_back",
        &["rate_limit.per_ip.rate", "rate_limit.per_ip.burst"],
    ),
    (
        "rate_limits",
        "what_is_refused_costs_nothing_of_the_global_limit",
        &["rate_limit.global.rate", "rate_limit.global.burst"],
    ),
    ("rate_limits", "exempt_clients_and_routes_that_say_false_have_no_limit", &["rate_limit.exempt"]),
    ("rate_limits", "observing_refuses_nothing_and_tells_everything", &["rate_limit.mode"]),
    (
        "rate_limits",
        "who_goes_on_knocking_waits_longer_each_time_up_to_max",
        &["rate_limit.penalty.factor", "rate_limit.penalty.max"],
    ),
    ("rate_limits", "each_key_of_a_route_counts_what_it_says", &["route.rate_limit.rate", "route.rate_limit.key"]),
    ("rate_limits", "a_route_allows_as_many_at_once_as_its_burst_says", &["route.rate_limit.burst"]),
    ("rate_limits", "every_limit_of_a_list_holds_and_the_one_that_refused_is_named", &["route.rate_limit"]),
    ("listeners", "listeners_come_and_go_and_the_others_serve_on", &["listener.name", "listener.bind"]),
    ("limits", "connections_are_limited_per_listener", &["listener.max_connections"]),
    ("limits", "connections_are_limited_per_client_address", &["listener.max_connections_per_ip"]),
    (
        "proxy_protocol",
        "a_listener_that_begins_to_want_headers_wants_them_of_the_next_connection",
        &["listener.proxy_protocol"],
    ),
    ("keys", "redirect_https_sends_everything_to_the_public_port", &["listener.redirect_https"]),
    ("observing", "the_status_path_answers_without_a_backend", &["listener.status_path"]),
    ("keys", "hsts_is_said_over_tls_only", &["listener.tls", "host.name", "host.hsts"]),
    (
        "keys",
        "min_version_and_cipher_suites_bound_the_handshake",
        &["listener.tls.min_version", "listener.tls.cipher_suites"],
    ),
    (
        "keys_certificates",
        "a_client_without_a_name_gets_the_default_certificate",
        &[
            "listener.tls.default_certificate",
            "certificate.name",
            "certificate.cert",
            "certificate.key",
            "certificate.default",
        ],
    ),
    ("deadlines", "a_handshake_that_does_not_happen_ends", &["listener.timeouts.handshake"]),
    ("deadlines", "a_head_that_does_not_end_is_408", &["listener.timeouts.headers"]),
    ("deadlines", "a_body_that_pauses_is_408_and_lets_the_backend_go", &["listener.timeouts.body_idle"]),
    ("deadlines", "a_client_that_does_not_read_is_left_and_so_is_the_backend", &["listener.timeouts.write_idle"]),
    ("deadlines", "an_unused_connection_ends", &["listener.timeouts.keep_alive"]),
    (
        "limits",
        "configured_limits_hold_to_the_byte",
        &["listener.limits.header_size", "listener.limits.header_fields", "listener.limits.uri_size"],
    ),
    ("keys", "h2_streams_is_what_clients_are_told", &["listener.limits.h2_streams"]),
    ("keys_certificates", "a_certificate_is_shown_on_the_listeners_it_names_only", &["certificate.listener"]),
    ("keys_certificates", "a_host_may_want_a_newer_version_than_its_listener", &["host.min_version"]),
    ("keys", "a_route_serves_on_the_listeners_it_names_only", &["route.listener"]),
    ("keys", "method_and_host_decide_the_route", &["route.name", "route.method", "route.host"]),
    (
        "keys",
        "header_and_query_decide_the_route",
        &["route.header", "route.query", "route.respond.content_type", "route.respond.body"],
    ),
    ("keys", "a_rewrite_puts_another_prefix_in_place_of_the_routes", &["route.path", "route.rewrite.prefix"]),
    ("first_light", "nginx_and_python_are_backends_like_any_other", &["route.rewrite.strip_prefix"]),
    ("keys", "encoded_slashes_are_kept_only_where_a_route_says_so", &["route.encoded_slash", "route.respond.status"]),
    (
        "header_policies",
        "a_route_changes_the_fields_of_requests",
        &["route.request_headers.remove", "route.request_headers.set", "route.request_headers.add"],
    ),
    (
        "header_policies",
        "a_route_changes_the_fields_of_answers_whoever_gave_them",
        &["route.response_headers.remove", "route.response_headers.set", "route.response_headers.add"],
    ),
    ("header_policies", "security_headers_are_added_where_the_backend_says_nothing", &["route.security_headers"]),
    (
        "header_policies",
        "pages_of_named_origins_may_use_a_route",
        &[
            "route.cors.origins",
            "route.cors.methods",
            "route.cors.headers",
            "route.cors.expose",
            "route.cors.credentials",
            "route.cors.max_age",
        ],
    ),
    ("mirrors", "a_part_of_the_requests_is_copied", &["route.mirror.pool", "route.mirror.percent"]),
    ("splits", "a_split_shares_requests_clients_or_browsers_out", &["route.split", "route.split_by"]),
    ("limits", "an_announced_body_over_the_limit_never_reaches_a_backend", &["route.body_limit"]),
    ("deadlines", "a_backend_that_does_not_accept_is_504", &["route.timeouts.connect"]),
    ("deadlines", "interim_answers_do_not_put_the_deadline_off", &["route.timeouts.response"]),
    ("deadlines", "a_backend_that_stops_within_its_answer_leaves_it_visibly_cut", &["route.timeouts.idle"]),
    ("deadlines", "the_whole_exchange_is_bounded", &["route.timeouts.total"]),
    ("keys", "a_redirect_says_where_to_with_the_status_it_is_given", &["route.redirect.to", "route.redirect.status"]),
    ("keys", "pool_idle_closes_connections_that_nobody_uses", &["pool.*.pool_idle"]),
    (
        "upstream_h2",
        "a_busy_connection_gets_nothing_new_after_pool_lifetime_and_ends_with_its_last_stream",
        &["pool.*.pool_lifetime"],
    ),
    ("keys", "balance_is_what_the_pool_says_or_else_the_environment", &["route.pool", "pool.*.balance"]),
    (
        "first_light",
        "weights_hold_exactly_over_a_full_cycle",
        &["pool.*.backends", "pool.*.backends.url", "pool.*.backends.weight"],
    ),
    ("balancing", "each_value_of_hash_by_has_its_backend", &["pool.*.hash_by"]),
    ("balancing", "a_backup_is_asked_only_where_the_others_cannot_be", &["pool.*.backends.backup"]),
    (
        "health",
        "a_backend_is_down_after_fall_failures_and_up_after_rise_good_answers",
        &["pool.*.health.path", "pool.*.health.fall", "pool.*.health.rise", "pool.*.health.interval"],
    ),
    (
        "health",
        "a_probe_asks_as_its_keys_say",
        &["pool.*.health.status", "pool.*.health.host", "pool.*.health.port", "pool.*.health.timeout"],
    ),
    ("health_kinds", "grpc_health_of_a_service_decides", &["pool.*.health.kind", "pool.*.health.service"]),
    ("health_shares", "where_too_few_are_up_all_are_asked", &["pool.*.panic"]),
    ("health_shares", "a_backend_that_comes_back_begins_with_a_small_share", &["pool.*.slow_start"]),
    ("names", "another_name_server_is_asked_as_soon_as_it_is_saved", &["server.resolver"]),
    ("names", "without_an_interval_names_are_asked_for_at_reloads_only", &["pool.*.resolve"]),
    ("sticky", "whoever_has_a_cookie_comes_back_to_the_same_backend", &["pool.*.sticky.cookie"]),
    ("keys", "without_attempts_nothing_is_sent_again", &["pool.*.retry.attempts"]),
    (
        "retries",
        "pauses_are_as_long_as_backoff_and_max_backoff_say",
        &["pool.*.retry.backoff", "pool.*.retry.max_backoff"],
    ),
    ("retries", "retries_are_a_part_of_what_is_in_flight_and_the_rest_gets_what_there_is", &["pool.*.retry.budget"]),
    ("retries", "what_the_list_says_is_repeated_and_nothing_else", &["pool.*.retry.on"]),
    (
        "queue",
        "beyond_max_requests_they_wait_for_their_turn_and_beyond_the_queue_they_are_refused",
        &["pool.*.max_requests", "pool.*.queue"],
    ),
    ("queue", "nobody_waits_for_longer_than_queue_timeout", &["pool.*.queue_timeout"]),
    ("upstream_tls", "nginx_is_verified_by_the_given_ca_and_its_sessions_are_resumed", &["pool.*.tls.ca"]),
    ("upstream_tls", "the_server_name_is_asked_for_and_held_against_the_certificate", &["pool.*.tls.server_name"]),
    ("upstream_tls", "a_client_certificate_is_shown_to_a_backend_that_asks", &["pool.*.tls.cert", "pool.*.tls.key"]),
    ("send_proxy", "a_reload_that_begins_to_send_headers_leaves_the_connections_without_one", &["pool.*.send_proxy"]),
    ("websocket", "tunnels_reach_backends_that_speak_http2", &["pool.*.protocol"]),
    ("websocket_ends", "tunnel_idle_ends_a_silent_tunnel_and_leaves_a_lively_one", &["route.timeouts.tunnel_idle"]),
    ("websocket_ends", "a_drain_waits_for_tunnels_and_cuts_them_at_tunnel_drain", &["server.tunnel_drain"]),
];

#[test]
fn every_key_is_seen_by_a_test_of_the_running_gateway() {
    let text = fs::read_to_string(root().join("config/reference.toml")).unwrap();
    let mut keys = BTreeSet::new();
    collect(&toml::from_str(&text).unwrap(), "", &mut keys);
    let seen: BTreeSet<String> = SEEN.iter().flat_map(|(_, _, keys)| *keys).map(|key| (*key).to_owned()).collect();
    let unseen =
        keys.difference(&seen).map(|key| format!("{key}: no test changes it and looks; write one, then list it"));
    let unknown = seen.difference(&keys).map(|key| format!("{key}: config/reference.toml has no such key"));
    none(&unseen.chain(unknown).collect::<Vec<_>>());
}

#[test]
fn the_tests_that_see_keys_are_there_and_name_them() {
    let mut wrong = Vec::new();
    for (file, test, keys) in SEEN {
        let text = fs::read_to_string(root().join(format!("tests/gateway/{file}.rs"))).unwrap();
        let marked = format!("#[test]\nfn {test}()");
        if !text.contains(&marked) {
            wrong.push(format!("tests/gateway/{file}.rs: no test {test}"));
        }
        // Some keys stand in the pieces that many configs begin with.
        let pieces = fs::read_to_string(root().join("tests/gateway/support/configs.rs")).unwrap();
        for key in *keys {
            let word = key.rsplit('.').next().unwrap();
            if ![&text, &pieces].iter().any(|text| names(text, word)) {
                wrong.push(format!("tests/gateway/{file}.rs does not name {key}"));
            }
        }
    }
    none(&wrong);
}

/// Whether `text` has the key: set with `=`, opened as a table, or as a string on its own.
fn names(text: &str, key: &str) -> bool {
    // As a string has it.
    let text = text.replace("\\n", "\n");
    [format!("{key} ="), format!(".{key}]"), format!("[{key}]"), format!("\"{key}\"")].iter().any(|form| {
        text.match_indices(form.as_str()).any(|(at, _)| {
            !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || matches!(before, '_' | '-'))
                // As Rust writes it, a variable.
                && !text[..at].ends_with("let ")
        })
    })
}

/// Tables whose keys are names that users choose.
const OF_USERS: [&str; 7] = [
    "route.split",
    "route.header",
    "route.query",
    "route.request_headers.set",
    "route.request_headers.add",
    "route.response_headers.set",
    "route.response_headers.add",
];

/// The keys of a table, each with the tables that it is in. What holds only tables is no key of its own.
fn collect(value: &toml::Table, path: &str, keys: &mut BTreeSet<String>) {
    for (key, value) in value {
        let named = if path == "pool" { "*" } else { key };
        let path = if path.is_empty() { named.to_owned() } else { format!("{path}.{named}") };
        match value {
            toml::Value::Table(_) if OF_USERS.contains(&path.as_str()) => drop(keys.insert(path)),
            toml::Value::Table(table) => collect(table, &path, keys),
            toml::Value::Array(list) => {
                let tables: Vec<_> = list.iter().filter_map(toml::Value::as_table).collect();
                tables.iter().for_each(|table| collect(table, &path, keys));
                if tables.len() < list.len() || list.is_empty() {
                    keys.insert(path);
                }
            }
            _ => drop(keys.insert(path)),
        }
    }
}
