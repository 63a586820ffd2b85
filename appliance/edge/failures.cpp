#include "appliance/edge/failures.hpp"

#include "core/base/limits.hpp"
#include "core/rules/snapshot.hpp"

namespace fedgate::edge {

const char* name_of(FailureKind kind) {
    switch (kind) {
        case FailureKind::kCertificate: return "certificate";
        case FailureKind::kTls: return "tls";
        case FailureKind::kSasl: return "sasl";
        case FailureKind::kDialback: return "dialback";
        case FailureKind::kDns: return "dns";
        case FailureKind::kUnreachable: return "unreachable";
        case FailureKind::kStreamErrorSent: return "stream error sent";
        case FailureKind::kStreamErrorReceived: return "stream error received";
    }
    return "";
}

void Failures::note(const rules::Snapshot& rules, LastFailure failure) {
    if (rules.partner(failure.their) == nullptr) return;
    const auto key = std::make_pair(failure.their, failure.inbound);
    auto found = rows_.find(key);
    if (found == rows_.end()) {
        if (rows_.size() >= limits::kRememberedFailures) make_room(rules);
        found = rows_.emplace(key, LastFailure{}).first;
    }
    // A certificate may hold names of any length.
    if (failure.text.size() > limits::kLogLineBytes) failure.text.resize(limits::kLogLineBytes);
    failure.count = found->second.count + 1;
    found->second = std::move(failure);
}

// Anybody may call himself a domain that is merely discovered, or below a pattern; those must not
// push out what is known about a partner that is listed by name.
void Failures::make_room(const rules::Snapshot& rules) {
    auto oldest = rows_.end();
    for (auto row = rows_.begin(); row != rows_.end(); ++row) {
        const rules::Partner* partner = rules.partner(row->first.first);
        if (partner != nullptr && partner->lists(row->first.first)) continue;
        if (oldest == rows_.end() || row->second.at < oldest->second.at) oldest = row;
    }
    if (oldest != rows_.end()) rows_.erase(oldest);
}

void Failures::recheck(const rules::Snapshot& rules) {
    std::erase_if(rows_,
                  [&](const auto& row) { return rules.partner(row.first.first) == nullptr; });
}

Bytes Failures::why(Bytes their) const {
    const auto found = rows_.find({std::string(their), false});
    return found != rows_.end() ? Bytes(found->second.text) : Bytes();
}

std::vector<LastFailure> Failures::rows() const {
    std::vector<LastFailure> rows;
    rows.reserve(rows_.size());
    for (const auto& [key, row] : rows_) rows.push_back(row);
    return rows;
}

}  // namespace fedgate::edge
