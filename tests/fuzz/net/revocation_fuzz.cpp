// Revocation lists and stapled OCSP responses, with the certificates that they are judged by: a
// byte that chooses, the issuer and the subject (each behind two bytes of its size), then the list
// or the response.
#include <cstddef>
#include <cstdint>
#include <optional>

#include "net/revocation.hpp"

namespace {

using namespace fedgate;
using namespace fedgate::net;
using State = RevocationStatus::State;

constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

std::optional<Certificate> take_certificate(Bytes& input) {
    if (input.size() < 2) return {};
    const std::size_t size = static_cast<unsigned char>(input[0]) * std::size_t{256} +
                             static_cast<unsigned char>(input[1]);
    const auto certificate = parse_certificate(input.substr(2, size));
    input.remove_prefix(std::min(input.size(), size + 2));
    return certificate ? std::optional(*certificate) : std::nullopt;
}

// Who has no key that we know has signed nothing.
void check(const RevocationStatus& status, const Certificate& issuer) {
    FEDGATE_CHECK(status.state == State::kUnknown || issuer.key.kind != KeyKind::kOther);
    static_cast<void>(name_of_reason(status.reason));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Bytes input(reinterpret_cast<const char*>(bytes), size);
    if (input.empty()) return 0;
    const bool list = input[0] % 2 != 0;
    input.remove_prefix(1);
    const auto issuer = take_certificate(input);
    const auto subject = take_certificate(input);
    if (!issuer || !subject) return 0;
    if (!list) {
        check(judge_staple(input, *subject, *issuer, nullptr, kNow), *issuer);
        return 0;
    }
    RevocationLists lists;
    std::string fault, name;
    const bool added = lists.add(std::string(input), fault);
    FEDGATE_CHECK(added == fault.empty());
    FEDGATE_CHECK(added || lists.count() == 0);
    check(lists.look_up(*subject, *issuer, kNow), *issuer);
    static_cast<void>(lists.next_update(name));
    return 0;
}
