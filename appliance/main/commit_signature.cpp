#include "appliance/main/commit_signature.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/base/file.hpp"
#include "core/base/hex.hpp"
#include "core/base/limits.hpp"
#include "core/config/text.hpp"
#include "net/revocation.hpp"

namespace fedgate {
namespace {

constexpr Bytes kSigned = "# signed by: ";
constexpr Bytes kSignature = "# signature: ";
constexpr Bytes kCertificate = "# certificate: ";
// So far a clock may be wrong.
constexpr std::chrono::hours kClockOff(24);

std::string hex_line(Bytes name, Bytes bytes) {
    std::string hex(bytes.size() * 2, '\0');
    write_hex(hex.data(), {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    return std::string(name) + hex + "\n";
}

// A whole line with this name; `rest` goes on behind it.
std::optional<Bytes> take(Bytes& rest, Bytes name) {
    const std::size_t end = rest.find('\n');
    if (end == Bytes::npos || !rest.starts_with(name)) return std::nullopt;
    const Bytes value = rest.substr(name.size(), end - name.size());
    rest.remove_prefix(end + 1);
    return value;
}

std::optional<std::string> take_hex(Bytes& rest, Bytes name) {
    const auto digits = take(rest, name);
    if (!digits || digits->empty() || digits->size() % 2 != 0) return std::nullopt;
    std::string bytes(digits->size() / 2, '\0');
    if (!read_hex(digits->data(), {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()})) {
        return std::nullopt;
    }
    return bytes;
}

struct Proof {
    std::string name;
    std::string signature;
    std::vector<std::string> chain;
};

bool parse(Bytes text, Proof& proof) {
    if (text.size() > limits::kCommitProofBytes) return false;
    const auto name = take(text, kSigned);
    auto signature = take_hex(text, kSignature);
    if (!name || !signature) return false;
    proof.name = *name;
    proof.signature = std::move(*signature);
    while (!text.empty()) {
        auto certificate = take_hex(text, kCertificate);
        if (!certificate || proof.chain.size() >= limits::kCommitCertificates) return false;
        proof.chain.push_back(std::move(*certificate));
    }
    return !proof.chain.empty();
}

// Good when the commit was made, and, since whoever has an old key writes what time he likes, not
// expired by now.
std::string fault_of(const std::vector<Bytes>& chain, WallTime time, const CommitTerms& terms) {
    net::PeerTerms by;
    by.roots = terms.roots;
    by.revoked = terms.revoked;
    by.revoked_by = terms.now;
    std::string fault = net::fault_of_chain({chain}, by, time);
    const WallTime at_least = terms.now - kClockOff;
    return fault.empty() && time < at_least ? net::fault_of_chain({chain}, by, at_least) : fault;
}

}  // namespace

std::string sign_commit(Bytes published, const rules::TlsFiles& files, const std::string& name,
                        std::string& why) {
    const std::string what = "it can't be signed for the other nodes: ";
    std::string pem;
    std::string key;
    std::string fault;
    if (!read_regular_file(files.certificate, pem, fault)) {
        why = what + "tls.internal.certificate " + files.certificate + " " + fault;
        return {};
    }
    const auto ders = net::parse_pem_certificates(pem);
    const auto own = ders ? net::parse_certificate(ders->front())
                          : Result<net::Certificate>(failure(Errc::kNotFound, "PEM"));
    if (!own) {
        why = what + "there is no certificate in tls.internal.certificate " + files.certificate;
        return {};
    }
    if (!read_regular_file(files.key, key, fault)) {
        why = what + "tls.internal.key " + files.key + " " + fault;
        return {};
    }
    const auto signature = net::sign(published, key, own->key);
    explicit_bzero(key.data(), key.size());
    if (!signature) {
        why = what + "tls.internal.key " + files.key +
              " is not the key of tls.internal.certificate, or of no kind that can sign";
        return {};
    }
    const auto& names = own->dns_names;
    if (names.empty()) {
        why = what + "tls.internal.certificate " + files.certificate + " is for no name";
        return {};
    }
    const Bytes known = std::ranges::find(names, name) != names.end() ? Bytes(name) : names.front();
    std::string proof =
        std::string(kSigned) + std::string(known) + "\n" + hex_line(kSignature, *signature);
    for (const std::string& der : *ders) proof += hex_line(kCertificate, der);
    if (ders->size() > limits::kCommitCertificates || proof.size() > limits::kCommitProofBytes) {
        why = what + "tls.internal.certificate has more than " +
              std::to_string(limits::kCommitCertificates) + " certificates, or they are too long";
        return {};
    }
    return proof;
}

admin::Signer judge_commit(Bytes published, Bytes text, WallTime time, const CommitTerms& terms) {
    Proof proof;
    if (!parse(text, proof)) return {{}, "its signature is malformed"};
    const std::vector<Bytes> chain(proof.chain.begin(), proof.chain.end());
    const auto leaf = net::parse_certificate(chain.front());
    if (!leaf) return {{}, "the certificate of who has signed it is malformed"};
    admin::Signer signer;
    // As the link takes them: whatever their case.
    for (const Bytes name : leaf->dns_names) signer.names.push_back(config::lower_ascii(name));
    for (const Bytes der : chain) {
        const auto one = net::parse_certificate(der);
        if (one) signer.good_until = std::min(signer.good_until, one->not_after);
    }
    const std::string who = proof.name.substr(0, 253);
    if (std::string fault = fault_of(chain, time, terms); !fault.empty()) {
        signer.fault = "the certificate of " + who + ", who has signed it, " + fault;
    } else if (std::ranges::find(signer.names, config::lower_ascii(proof.name)) ==
               signer.names.end()) {
        signer.fault = "it is signed by another one than it says, " + who;
    } else if (!net::is_signed(published, proof.signature, net::algorithm_of(leaf->key),
                               leaf->key)) {
        signer.fault = "its signature is not that of " + who;
    }
    return signer;
}

}  // namespace fedgate
