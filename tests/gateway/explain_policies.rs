//! What policies and pools would do is what they do: the second half of the table of `explain`.

use crate::support::backend::Backend;
use crate::support::cases::{Case, agree, agrees, told};
use crate::support::configs::{HTTP, HTTPS, asking};
use crate::support::dns::NameServer;
use crate::support::gateway::Gateway;

const RESPOND: &str = "[[route]]\nname = \"all\"\nrespond = { status = 200 }\n";

#[test]
fn limits_and_what_is_left_of_them() {
    let limits = "[rate_limit]\nper_ip = { rate = \"3/h\", burst = 3 }\nglobal = { rate = \"5/h\", burst = 5 }\n\
                  exempt = [\"127.0.0.9\"]\n";
    let own = |name: &str, keys: &str| {
        format!("[[route]]\nname = \"{name}\"\npath = \"/{name}\"\nrespond = {{ status = 200 }}\n{keys}\n")
    };
    let gateway = Gateway::serving(&format!(
        "{limits}{HTTP}{RESPOND}{}{}{}",
        own("one", "rate_limit = { rate = \"1/h\", key = \"header:X-Key\" }"),
        own("off", "rate_limit = false"),
        own("shut", "acl = { deny = [\"127.0.0.0/8\"] }"),
    ));
    let left = |explanation: &serde_json::Value| {
        let verdicts = explanation["verdicts"].as_array().unwrap();
        let buckets = verdicts.iter().filter_map(|verdict| verdict["bucket"].as_object());
        let told = buckets.map(|bucket| format!("{} {}", bucket["limit"].as_str().unwrap(), bucket["left"]));
        told.collect::<Vec<_>>().join(", ")
    };
    for (text, expected, buckets) in [
        ("GET http://a/one | X-Key: k", "200 answered one", "per_ip 3, header:x-key 1, global 5"),
        ("GET http://a/one | X-Key: k", "429 rate_limited one", "per_ip 2, header:x-key 0"),
        ("GET http://a/one | X-Key: l", "200 answered one", "per_ip 1, header:x-key 1, global 4"),
        ("GET http://a/", "429 rate_limited all", "per_ip 0"),
        ("2 GET http://a/shut", "403 acl shut", "per_ip 3"),
        ("2 GET http://a/", "200 answered all", "per_ip 2, global 3"),
        ("2 GET http://a/", "200 answered all", "per_ip 1, global 2"),
        ("3 GET http://a/", "200 answered all", "per_ip 3, global 1"),
        ("3 GET http://a/", "429 rate_limited all", "per_ip 2, global 0"),
        ("9 GET http://a/", "200 answered all", ""),
        ("1 GET http://a/off", "200 answered off", ""),
    ] {
        let explanation = agrees(&gateway, text, expected);
        assert_eq!(left(&explanation), buckets, "{text}: {explanation:#}");
    }
    let of_file = Case::new("GET http://a/").explained_of_file(&gateway);
    assert_eq!((told(&of_file).as_str(), left(&of_file).as_str()), ("200 answered all", "per_ip 3, global 5"));
    let refused = gateway.metric("portcullis_refused_total{reason=\"rate_limited\",route=\"all\"}");
    assert_eq!(refused, 2, "explaining counts nothing");
}

#[test]
fn what_only_observes() {
    let gateway = Gateway::serving(&format!(
        "[rate_limit]\nper_ip = \"1/h\"\nmode = \"observe\"\n[acl]\nmode = \"observe\"\ndeny = [\"127.0.0.2\"]\n{HTTP}{RESPOND}\
         [[route]]\nname = \"strict\"\npath = \"/strict\"\nrespond = {{ status = 200 }}\nacl = {{ deny = [\"127.0.0.2\"], mode = \"enforce\" }}\n"
    ));
    for (text, expected) in [
        ("GET http://a/", "200 answered all"),
        ("GET http://a/", "200 answered all observed=rate_limited"),
        ("2 GET http://a/", "200 answered all observed=acl"),
        ("2 GET http://a/", "200 answered all observed=rate_limited,acl"),
        ("2 GET http://a/strict", "403 acl strict observed=rate_limited"),
    ] {
        agrees(&gateway, text, expected);
    }
    agree(&gateway, &[("3 GET http://a/strict", "200 answered strict")]);
}

#[test]
fn what_routes_do() {
    let (one, two) = (Backend::named("one"), Backend::named("two"));
    let gateway = Gateway::serving(&format!(
        "{HTTPS}{HTTP}\
         [[route]]\nname = \"moved\"\npath = \"/moved/*\"\nredirect = {{ to = \"https://new.example\", status = 307 }}\n\
         [[route]]\nname = \"gone\"\npath = \"/gone\"\nrespond = {{ status = 410, body = \"gone\" }}\n\
         [[route]]\nname = \"cors\"\npath = \"/cors\"\npool = \"p\"\ncors = {{ origins = [\"https://app.example\"] }}\n\
         [[route]]\nname = \"fields\"\npath = \"/fields\"\npool = \"p\"\n\
         request_headers = {{ set = {{ Authorization = \"Bearer hidden\" }}, remove = [\"X-Gone\"] }}\n\
         response_headers = {{ add = {{ X-Added = \"hidden\" }} }}\nsecurity_headers = true\n\
         [[route]]\nname = \"prefix\"\npath = \"/v1/*\"\npool = \"p\"\nrewrite = {{ prefix = \"/v2\" }}\nmirror = {{ pool = \"q\", percent = 0 }}\n\
         [[route]]\nname = \"all\"\npool = \"p\"\n\
         [pool.p]\nbackends = [\"{one}\", {{ url = \"{two}\", weight = 2 }}]\n[pool.q]\nbackends = [\"{two}\"]\n"
    ));
    agree(
        &gateway,
        &[
            ("GET http://localhost/moved/x?y=1", "307 answered moved"),
            ("GET https://localhost/gone", "410 answered gone"),
            (
                "OPTIONS http://localhost/cors | Origin: https://app.example | Access-Control-Request-Method: PUT",
                "204 answered cors",
            ),
            ("OPTIONS http://localhost/cors | Origin: https://app.example", "200 forwarded cors"),
            ("GET http://localhost/cors | Origin: https://evil.example", "200 forwarded cors"),
            ("GET http://localhost/v1/x", "200 forwarded prefix"),
            ("GET https://localhost/fields | X-Gone: 1", "200 forwarded fields"),
            ("HEAD http://localhost/", "200 forwarded all"),
        ],
    );
    let explanation = Case::new("GET http://localhost/v1/x?y").explained(&gateway);
    assert_eq!(explanation["backend"]["target"], "/v2/x?y");
    let explanation = Case::new("GET http://localhost/fields | X-Gone: 1 | X-Secret: hidden").explained(&gateway);
    let fields = explanation["backend"]["fields"].as_array().unwrap();
    assert!(fields.contains(&"Authorization".into()) && !fields.contains(&"X-Gone".into()), "{explanation:#}");
    assert!(!explanation.to_string().contains("hidden"), "values may be secrets: {explanation:#}");
}

#[test]
fn whom_a_pool_would_pick() {
    let backends = [Backend::named("one"), Backend::named("two"), Backend::named("three")];
    let [one, two, three] = &backends;
    for (balance, certain) in [
        ("\"round_robin\"", true),
        ("\"random\"", false),
        ("\"least_connections\"", true),
        ("\"ip_hash\"", true),
        ("\"hash\"\nhash_by = \"path\"", true),
        ("\"p2c\"", false),
        ("\"ewma\"", false),
        ("\"adaptive\"", false),
    ] {
        let gateway = Gateway::serving(&format!(
            "{HTTP}[[route]]\nname = \"all\"\npool = \"p\"\n\
             [pool.p]\nbalance = {balance}\nbackends = [{{ url = \"{one}\", weight = 2 }}, \"{two}\", {{ url = \"{three}\", backup = true }}]\n"
        ));
        for number in 1..6 {
            let explanation = agrees(&gateway, &format!("{number} GET http://a/{number}"), "200 forwarded all");
            let candidates = explanation["backend"]["pools"][0]["candidates"].as_array().unwrap();
            let picked = candidates.iter().filter(|candidate| candidate["picked"] == true).count();
            assert_eq!((candidates.len(), picked == 1), (3, certain), "{balance} {explanation:#}");
        }
    }
}

#[test]
fn splits() {
    let (blue, green) = (Backend::named("blue"), Backend::named("green"));
    let config = |split: &str| {
        format!(
            "{HTTP}[[route]]\nname = \"all\"\n{split}\n[pool.blue]\nbackends = [\"{blue}\"]\n[pool.green]\nbackends = [\"{green}\"]\n"
        )
    };
    let gateway = Gateway::serving(&config("split = { blue = 1, green = 1 }\nsplit_by = \"ip\""));
    let pool = |explanation: &serde_json::Value| explanation["outcome"]["pool"].as_str().unwrap().to_owned();
    let mut seen: Vec<String> =
        (1..20).map(|last| pool(&agrees(&gateway, &format!("{last} GET http://a/"), "200 forwarded all"))).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["blue", "green"]);

    gateway.save(&config("split = { blue = 1, green = 1 }\nsplit_by = \"cookie\""));
    let cookie = "GET http://a/ | Cookie: portcullis_split=0123456789abcdef";
    assert_ne!(pool(&agrees(&gateway, cookie, "200 forwarded all")), "");
    assert_eq!(pool(&agrees(&gateway, "GET http://a/", "200 forwarded all")), "");

    gateway.save(&config("split = { blue = 0, green = 1 }"));
    assert_eq!(pool(&agrees(&gateway, "GET http://a/", "200 forwarded all")), "green");

    gateway.save(&config("split = { blue = 3, green = 1 }"));
    let explanation = agrees(&gateway, "GET http://a/", "200 forwarded all");
    let pools = explanation["backend"]["pools"].as_array().unwrap();
    let shares: Vec<_> =
        pools.iter().map(|pool| (pool["name"].as_str().unwrap(), pool["share"].as_u64().unwrap())).collect();
    assert_eq!((pool(&explanation).as_str(), shares), ("", vec![("blue", 3), ("green", 1)]));
}

#[test]
fn a_pool_without_a_backend() {
    let dns = NameServer::new();
    let gateway = Gateway::serving(&format!(
        "{}{HTTP}[[route]]\nname = \"all\"\npool = [\"http://nobody.test:80\"]\n",
        asking(&[&dns])
    ));
    agrees(&gateway, "GET http://a/", "503 no_backend all");
    let of_file = Case::new("GET http://a/").explained_of_file(&gateway);
    assert_eq!(told(&of_file), "200 forwarded all", "names are not looked up for a file");
    assert!(of_file.to_string().contains("not looked up"), "{of_file:#}");
}
