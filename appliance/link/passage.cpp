#include "appliance/link/passage.hpp"

#include <cstring>

namespace fedgate::link {

namespace {

constexpr std::uint32_t kServersShard = 0;

// Before the domain and the stanza.
struct Front {
    std::uint32_t domain_bytes;
    Proof proof;
};

}  // namespace

// What waits here waits for a gateway, and needs no room in mailboxes that may wait themselves.
Passage::Passage(Shard& shard, GatewayDoor* server) : shard_(shard), server_(server) {
    FEDGATE_CHECK((server != nullptr) == (shard.index() == kServersShard));
    shard.set_handler(static_cast<std::uint32_t>(RecordKind::kFromPartner), *this,
                      RecordUse::kMayWait);
}

bool Passage::take_stanza(const FromPartner& from) {
    if (server_ != nullptr) return server_->take_stanza(from);
    Front front{};  // the gaps in it, too
    front.domain_bytes = static_cast<std::uint32_t>(from.from_domain.size());
    front.proof = from.proof;
    return shard_.send(
        kServersShard, static_cast<std::uint32_t>(RecordKind::kFromPartner),
        {{reinterpret_cast<const char*>(&front), sizeof front}, from.from_domain, from.stanza});
}

bool Passage::on_record(std::uint32_t, std::uint32_t, Bytes record) {
    Front front;
    std::memcpy(&front, record.data(), sizeof front);
    record.remove_prefix(sizeof front);
    return server_->take_stanza(
        {record.substr(0, front.domain_bytes), front.proof, record.substr(front.domain_bytes)});
}

void Passage::on_outcome(const Outcome& outcome) {
    if (server_ != nullptr) server_->on_outcome(outcome);
}

// The edge tells each shard.
void Passage::on_partner(const PartnerNews& news) {
    if (server_ != nullptr) server_->on_partner(news);
}

}  // namespace fedgate::link
