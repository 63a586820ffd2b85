#include "xml/dialback.hpp"

#include <string>

#include <gtest/gtest.h>

namespace fedgate::xml {
namespace {

std::string key_of(const DialbackSecrets& secrets, Bytes receiving, Bytes originating, Bytes id) {
    const DialbackKey key = make_dialback_key(secrets, receiving, originating, id);
    return {key.begin(), key.end()};
}

// DB-1, DB-2
TEST(Dialback, KeysOfTheSpecifications) {
    const DialbackSecrets secrets = make_dialback_secrets("s3cr3tf0rd14lb4ck");
    EXPECT_EQ(key_of(secrets, "xmpp.example.com", "example.org", "D60000229F"),
              "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643");
    EXPECT_EQ(key_of(secrets, "montague.example", "capulet.example", "D60000229F"),
              "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3");
}

// DB-3, DB-8
TEST(Dialback, CurrentAndPreviousSecretVerify) {
    const DialbackSecrets old_secrets = make_dialback_secrets("old");
    const DialbackSecrets rotated = make_dialback_secrets("new", "old");
    const std::string old_key = key_of(old_secrets, "a.example", "b.example", "1");
    const std::string new_key = key_of(rotated, "a.example", "b.example", "1");
    EXPECT_NE(old_key, new_key);
    EXPECT_TRUE(check_dialback_key(rotated, "a.example", "b.example", "1", old_key));
    EXPECT_TRUE(check_dialback_key(rotated, "a.example", "b.example", "1", new_key));
    EXPECT_FALSE(check_dialback_key(old_secrets, "a.example", "b.example", "1", new_key));
}

TEST(Dialback, EveryPartOfTheTextCounts) {
    const DialbackSecrets secrets = make_dialback_secrets("s");
    const std::string key = key_of(secrets, "a.example", "b.example", "1");
    EXPECT_FALSE(check_dialback_key(secrets, "b.example", "a.example", "1", key));
    EXPECT_FALSE(check_dialback_key(secrets, "a.example", "b.example", "2", key));
    EXPECT_FALSE(check_dialback_key(secrets, "a.example", "b.example", "1", key.substr(1)));
    EXPECT_FALSE(check_dialback_key(secrets, "a.example", "b.example", "1", ""));
    EXPECT_FALSE(check_dialback_key(secrets, "a.example", "b.example", "1", key + "0"));
}

}  // namespace
}  // namespace fedgate::xml
