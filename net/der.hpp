// Reads DER, strictly: one-byte tags, definite and minimal lengths. Input is hostile; nothing is
// copied, all views point into it.
#pragma once

#include <string>

#include "core/base/bytes.hpp"
#include "core/base/time.hpp"

namespace fedgate::net {

namespace der {
constexpr unsigned char kBoolean = 0x01;
constexpr unsigned char kInteger = 0x02;
constexpr unsigned char kBitString = 0x03;
constexpr unsigned char kOctetString = 0x04;
constexpr unsigned char kNull = 0x05;
constexpr unsigned char kObject = 0x06;
constexpr unsigned char kEnumerated = 0x0a;
constexpr unsigned char kUtf8String = 0x0c;
constexpr unsigned char kPrintableString = 0x13;
constexpr unsigned char kIa5String = 0x16;
constexpr unsigned char kUtcTime = 0x17;
constexpr unsigned char kGeneralizedTime = 0x18;
constexpr unsigned char kSequence = 0x30;
constexpr unsigned char kSet = 0x31;
}  // namespace der

class Der {
public:
    explicit Der(Bytes bytes) : rest_(bytes) {}

    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    [[nodiscard]] bool next_is(unsigned char tag) const {
        return !rest_.empty() && static_cast<unsigned char>(rest_[0]) == tag;
    }
    // Any element.
    bool next(unsigned char& tag, Bytes& content, Bytes& whole);
    // An element of this tag.
    bool take(unsigned char wanted, Bytes& content, Bytes* whole = nullptr);
    // The same where it may be left out: true and `there` says which.
    bool take_optional(unsigned char wanted, Bytes& content, bool& there);

private:
    [[nodiscard]] unsigned char byte(std::size_t at) const {
        return static_cast<unsigned char>(rest_[at]);
    }
    Bytes rest_;
};

// The only element of `bytes`, of this tag.
[[nodiscard]] bool take_only(Bytes bytes, unsigned char tag, Bytes& content);

// RFC 5280 4.1.2.5: UTCTime YYMMDDHHMMSSZ, GeneralizedTime YYYYMMDDHHMMSSZ.
[[nodiscard]] bool take_time(Der& from, WallTime& time);

struct Extension {
    Bytes object;
    Bytes value;
    bool critical = false;
};
[[nodiscard]] bool take_extension(Der& from, Extension&);

// Of a Name, for people: the common name, or the organisation; control characters replaced.
[[nodiscard]] std::string readable_name(Bytes name);
// `C=FR, O=Contoso, CN=contoso.example`, in the order of the name; what is odd in it is left out.
[[nodiscard]] std::string whole_name(Bytes name);

}  // namespace fedgate::net
