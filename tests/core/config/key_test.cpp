#include "core/config/key.hpp"

#include <set>

#include <gtest/gtest.h>

#include "core/config/value.hpp"

namespace fedgate::config {
namespace {

// Each key has a description, a unit, bounds, and a default that its own check accepts.
TEST(Key, EveryRowOfTheCatalogueIsComplete) {
    std::set<std::string_view> names;
    for (const Key& key : keys()) {
        SCOPED_TRACE(key.name);
        EXPECT_TRUE(names.insert(key.name).second);
        EXPECT_GE(key.description.size(), 10U);
        EXPECT_EQ(key.description.find('\n'), std::string_view::npos);
        EXPECT_TRUE(key.description.ends_with('.') || key.description.ends_with('?'));
        EXPECT_FALSE(key.unit.empty());
        EXPECT_LT(key.minimum, key.maximum);
        EXPECT_FALSE(format_bounds(key).empty());
        EXPECT_EQ(key.choices.empty(), key.type != Type::kEnum && key.type != Type::kEnumList);
        Value value;
        std::string why;
        ASSERT_TRUE(parse_value(key, key.fallback, value, why)) << why;
        Value again;
        ASSERT_TRUE(parse_value(key, value.text, again, why)) << why;
        EXPECT_EQ(again.text, value.text);
        EXPECT_EQ(again.number, value.number);
    }
}

TEST(Key, EveryNameResolvesInBothSpellings) {
    for (const Key& key : keys()) {
        std::string dotted(key.name);
        std::string slashed(key.name);
        const char* instance = key.root() == "user" ? "a@b" : key.root() == "core" ? "3" : "x";
        if (key.is_pattern()) {
            dotted.replace(dotted.find('*'), 1, instance);
            slashed = dotted;
        }
        for (char& c : dotted) c = c == '/' ? '.' : c;
        for (char& c : slashed) c = c == '.' ? '/' : c;
        for (const std::string& typed : {dotted, slashed}) {
            Path path;
            std::string why;
            EXPECT_TRUE(resolve(typed, path, why)) << typed << ": " << why;
            EXPECT_EQ(path.key, &key);
        }
    }
}

struct Spelling {
    const char* typed;
    const char* name;  // null: refused
    const char* in_reason = "";
};

TEST(Key, TheFirstSeparatorDecides) {
    const Spelling spellings[] = {
        {"xmpp.listen", "xmpp.listen"},
        {" xmpp/listen ", "xmpp.listen"},
        {"xmpp/limits/depth", "xmpp.limits.depth"},
        {"partner/example.org/tls", "partner/example.org/tls"},
        {"partner.example/org.tls", "partner/example.org/tls"},
        {"partner/EXAMPLE.org./tls", "partner/example.org/tls"},
        {"partner/b\xc3\xbc"
         "cher.example/tls",
         "partner/xn--bcher-kva.example/tls"},
        {"partner/B\xc3\x9c"
         "CHER.example/tls",
         "partner/xn--bcher-kva.example/tls"},
        {"partner/xn--bcher-kva.example/tls", "partner/xn--bcher-kva.example/tls"},
        {"partner.default.tls", "partner/default/tls"},
        {"core.3.cpu", "core.3.cpu"},
        {"core/3/cpu", "core.3.cpu"},
        {"core.*.cpu", "core.*.cpu"},
        {"core.threads", "core.threads"},
        {"core/threads", "core.threads"},
        {"core.03.cpu", nullptr, "'03' is not a core: 0 to 255, or *"},
        {"core.256.cpu", nullptr, "is not a core"},
        {"core.x.cpu", nullptr, "is not a core"},
        {"core..cpu", nullptr, "is not a core"},
        {"core.3.cpus", nullptr, "core.3.cpu"},
        {"core.3", nullptr, "no such key"},
        {"policy/site:paris/xmpp_access", "policy/site:paris/xmpp_access"},
        {"user/sip:Alice@Example.ORG/policy", "user/alice@example.org/policy"},
        {"user/a/b@example.org/policy", "user/a/b@example.org/policy"},
        {"partner.example.org.tls", nullptr, "partner/example.org/tls"},
        {"partner/exa mple.org/tls", nullptr, "not a domain name"},
        {"partner/10.0.0.1/tls", nullptr, "not a domain name"},
        {"partner/-a.example/tls", nullptr, "not a domain name"},
        {"partner//tls", nullptr, "not a domain name"},
        {"partner/tls", nullptr, "no such key"},
        {"partner", nullptr, "no such key"},
        {"domain/default/site", "domain/default/site"},
        {"policy/a b/xmpp_access", nullptr, "not a name"},
        {"policy/site:/xmpp_access", nullptr, "not a name"},
        {"user/alice/policy", nullptr, "not a SIP address"},
        {"user/@example.org/policy", nullptr, "not a SIP address"},
        {"", nullptr, "not a key"},
        {"xmpp", nullptr, "no such key"},
        {"xmpp.", nullptr, "no such key"},
        {".", nullptr, "no such key"},
        {"/", nullptr, "no such key"},
        {"xmpp.listen\x01", nullptr, "not a key"},
        {"xmpp.listen\xff", nullptr, "not a key"},
    };
    for (const Spelling& spelling : spellings) {
        SCOPED_TRACE(spelling.typed);
        Path path;
        std::string why;
        ASSERT_EQ(resolve(spelling.typed, path, why), spelling.name != nullptr) << why;
        if (spelling.name != nullptr) {
            EXPECT_EQ(path.name, spelling.name);
        } else {
            EXPECT_NE(why.find(spelling.in_reason), std::string::npos) << why;
        }
    }
}

TEST(Key, NamesTheNearest) {
    const struct {
        const char* typed;
        const char* nearest;
    } cases[] = {
        {"xmpp.listne", "xmpp.listen"},
        {"xmpp.limits.conections", "xmpp.limits.connections"},
        {"federation.alow", "federation.allow"},
        {"XMPP.LISTEN", "xmpp.listen"},
        {"partner/example.org/tsl", "partner/example.org/tls"},
        {"partners/example.org/tls", "partner/example.org/tls"},
        {"partner/example.org/dailback", "partner/example.org/dialback"},
        {"stanza_bytes", "xmpp.limits.stanza_bytes"},
        {"log/bodys", "log.bodies"},
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.typed);
        const auto found = nearest(c.typed);
        ASSERT_FALSE(found.empty());
        EXPECT_EQ(found.front(), c.nearest);
    }
    EXPECT_TRUE(nearest("completely.different.thing").empty());
    EXPECT_TRUE(nearest(std::string(100'000, 'x')).empty());
}

}  // namespace
}  // namespace fedgate::config
