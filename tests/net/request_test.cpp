#include "net/request.hpp"

#include <gtest/gtest.h>

#include "net/certificate.hpp"
#include "net/der.hpp"
#include "net/signature.hpp"

namespace fedgate::net {
namespace {

std::string der_of(const std::string& pem) {
    const auto ders = parse_pem(pem, "CERTIFICATE REQUEST");
    return ders ? ders->front() : std::string();
}

TEST(Request, SaysWhatWasAskedForAndIsSignedByItsKey) {
    const std::vector<std::string> names{"sip.a.example", "a.example", "xn--bcher-kva.example"};
    for (const NewKey kind : {NewKey::kRsa2048, NewKey::kP256, NewKey::kP384}) {
        const auto key = make_key(kind);
        ASSERT_TRUE(key);
        const auto pem =
            make_request(*key, {"sip.a.example", "Contoso SA", "IT", "Besançon", "", "FR"}, names);
        ASSERT_TRUE(pem) << pem.error().where;
        const std::string der = der_of(*pem);
        const auto request = parse_request(der);
        ASSERT_TRUE(request) << request.error().where;
        EXPECT_EQ(std::vector<std::string>(request->dns_names.begin(), request->dns_names.end()),
                  names);
        EXPECT_TRUE(request->usage_server && request->usage_client);
        const std::string subject = whole_name(request->subject);
        for (const char* part : {"C=FR", "L=Besançon", "O=Contoso SA", "OU=IT", "CN=sip.a.example"})
            EXPECT_NE(subject.find(part), std::string::npos) << subject;
        EXPECT_TRUE(has_strong_key(*request));
        EXPECT_TRUE(sign("anything", *key, request->key));  // it is that key's
        const auto other = make_key(kind == NewKey::kRsa2048 ? NewKey::kP256 : kind);
        EXPECT_FALSE(sign("anything", *other, request->key));
    }
}

TEST(Request, RefusesWhatDoesNotFit) {
    const auto key = make_key(NewKey::kP256);
    ASSERT_TRUE(key);
    EXPECT_FALSE(make_request(*key, {}, {}));
    EXPECT_FALSE(make_request(*key, {}, {std::string(128, 'a')}));
    EXPECT_FALSE(make_request(*key, {}, std::vector<std::string>(101, "a.example")));
    EXPECT_FALSE(make_request(*key, {std::string(64, 'a'), "", "", "", "", ""}, {"a.example"}));
    EXPECT_FALSE(make_request("no key", {}, {"a.example"}));
    EXPECT_TRUE(make_request(*key, {}, std::vector<std::string>(100, std::string(127, 'a'))));
}

TEST(Request, AChangedOneIsRefused) {
    const auto key = make_key(NewKey::kP256);
    const auto pem = make_request(*key, {"a.example", "", "", "", "", ""}, {"a.example"});
    ASSERT_TRUE(pem);
    std::string der = der_of(*pem);
    ASSERT_TRUE(parse_request(der));
    der[der.find("a.example")] = 'b';
    EXPECT_FALSE(parse_request(der));
    for (std::size_t size = 0; size < der.size(); ++size)
        EXPECT_FALSE(parse_request(Bytes(der).substr(0, size)));
}

}  // namespace
}  // namespace fedgate::net
