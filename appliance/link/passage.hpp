// The gateway as the edge of each shard sees it where the link's server is on the first shard: what
// partners send to the others goes there through a mailbox, and is refused while that is full
// (back-pressure). The other way needs nothing: what the server gives to the edge goes to the shard
// that owns it, and fates come back to the shard that asked, which is the server's.
//
// Owner: the program, one for each shard. Thread: the shard's.
#pragma once

#include "appliance/link/link.hpp"
#include "core/run/shard.hpp"

namespace fedgate::link {

class Passage final : public GatewayDoor, RecordHandler {
public:
    // `server`: on the first shard, and null on the others.
    Passage(Shard&, GatewayDoor* server);
    Passage(const Passage&) = delete;
    Passage& operator=(const Passage&) = delete;

    [[nodiscard]] bool take_stanza(const FromPartner&) override;
    void on_outcome(const Outcome&) override;
    void on_partner(const PartnerNews&) override;

private:
    [[nodiscard]] bool on_record(std::uint32_t kind, std::uint32_t from_shard,
                                 Bytes record) override;

    Shard& shard_;
    GatewayDoor* server_;
};

}  // namespace fedgate::link
