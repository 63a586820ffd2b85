#include "appliance/admin/tlsa.hpp"

#include <algorithm>
#include <set>

#include "appliance/admin/show.hpp"
#include "core/base/file.hpp"
#include "core/base/hash.hpp"
#include "net/certificate.hpp"
#include "net/dane.hpp"

namespace fedgate::admin {
namespace {

// The chain of a file; empty: it can't be read.
std::vector<std::string> chain_of(const std::string& file) {
    std::string pem;
    std::string why;
    if (file.empty() || !read_regular_file(file, pem, why)) return {};
    auto ders = net::parse_pem_certificates(pem);
    return ders ? std::move(*ders) : std::vector<std::string>();
}

// 3 1 1: the server's own, by the SHA-256 of its key. Neither names nor dates count then, and a
// renewal with the same key needs no other record.
bool key_digest(const std::string& file, std::string& digest, std::string& why) {
    const std::vector<std::string> chain = chain_of(file);
    const auto leaf = net::parse_certificate(chain.empty() ? std::string() : chain.front());
    if (!leaf) {
        why = "the certificate " + file + " can't be read";
        return false;
    }
    const auto hex = to_hex(sha256({leaf->key.info}));
    digest.assign(hex.data(), hex.size());
    return true;
}

}  // namespace

std::string tlsa_name(const Json& record) {
    return "_" + std::to_string(number_of(record, "port")) + "._tcp." + string_of(record, "target");
}

bool plan_tlsa(const Json& plan, std::vector<std::string>& lines, std::string& why) {
    std::set<std::string> digests;
    const std::string file = string_of(plan, "certificate");
    if (file.empty()) {
        why =
            "there is no certificate to name: the self-signed one, which is in use without "
            "tls.external.certificate, is another at each start; is this an edge?";
        return false;
    }
    for (const std::string& one : {file, string_of(plan, "next_certificate")}) {
        std::string digest;
        if (one.empty()) continue;
        if (!key_digest(one, digest, why)) return false;
        digests.insert(digest);
    }
    std::set<std::string> names;
    for (const Json& record : array_of(plan, "records")) {
        const std::string name = tlsa_name(record);
        if (!names.insert(name).second) continue;
        for (const std::string& digest : digests)
            lines.push_back(name + ". 3600 IN TLSA 3 1 1 " + digest);
    }
    return true;
}

TlsaVerdict judge_tlsa(const Json& plan, const std::vector<net::TlsaRecord>& records) {
    net::DaneQuestion question;
    question.servers.push_back({"", net::usable_tlsa(records)});
    if (question.servers[0].records.empty()) return TlsaVerdict::kNothing;
    const std::vector<std::string> chain = chain_of(string_of(plan, "certificate"));
    const std::vector<Bytes> shown(chain.begin(), chain.end());
    PeerIdentity us;
    us.chain_valid = true;  // what else is the matter with it, fedctl cert check says
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    net::judge_dane(question, {shown, {}, false}, {}, now, us);
    return us.dane == PeerIdentity::Dane::kRefused ? TlsaVerdict::kAnothers : TlsaVerdict::kOurs;
}

}  // namespace fedgate::admin
