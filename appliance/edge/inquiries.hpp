// What is asked of others for the streams that partners opened: their server about a dialback key
// (XEP-0220), and DNS for the TLSA records of their domain (CERT-8). The first is tried on the
// stream of ours that stands with that server (DB-5); it is on its pair's shard, and they talk by
// mailbox. Bounds: limits::kVerifications, kVerificationsPerStream, kInquiries, and those of the
// door guard; at them a stream is refused. Owner: the Edge. Thread: the shard's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "appliance/edge/context.hpp"
#include "appliance/edge/door_guard.hpp"
#include "appliance/edge/in_stream.hpp"
#include "appliance/edge/out_stream.hpp"
#include "appliance/edge/verification.hpp"
#include "net/dane_finder.hpp"

namespace fedgate::edge {

class InquiriesOwner {
public:
    // Null: it has ended.
    [[nodiscard]] virtual InStream* find_in_stream(Handle<InStream>) = 0;
    // Of the pair, on its shard. Null: there is none.
    [[nodiscard]] virtual OutStream* find_out_stream(Bytes our, Bytes their) = 0;
    [[nodiscard]] virtual std::uint32_t owner_of(Bytes our, Bytes their) const = 0;

protected:
    ~InquiriesOwner() = default;
};

class Inquiries final : public VerificationOwner,
                        public net::DaneFinderOwner,
                        RecordHandler,
                        TurnTask,
                        TimerOwner {
public:
    Inquiries(Context&, DoorGuard&, InquiriesOwner&);
    ~Inquiries();
    Inquiries(const Inquiries&) = delete;
    Inquiries& operator=(const Inquiries&) = delete;

    // `id`, `key`: of the dialback result that came in. The stream's verified() follows, never from
    // within this call.
    void verify(const InStream&, Bytes our, Bytes their, Bytes id, Bytes key);
    // False: at a bound, or asked too often. Else the stream's dane_found() follows.
    [[nodiscard]] bool find_dane(const InStream&, Bytes their);
    // What came of a question on a stream of ours, for the shard that asked. Nothing: it could not
    // be asked.
    void answer(const Asker&, std::optional<xml::Verdict>);
    void forget(Handle<InStream>);  // it has ended
    void sweep();                   // now and then

private:
    struct Asked {  // a dialback question and the stream that it is for
        Handle<InStream> stream;
        net::IpKey address;  // of the stream's peer
        std::unique_ptr<Verification> verification;
        std::uint64_t number = 0;
    };
    struct Refused {  // a question that was not asked, told at the end of the turn
        Handle<InStream> stream;
        std::string our;
        std::string their;
        std::string id;
    };
    struct Search {  // the TLSA records of a domain, and the streams that wait for them
        std::string domain;
        std::vector<Handle<InStream>> streams;
        std::unique_ptr<net::DaneFinder> finder;
    };

    void on_verdict(Verification&, xml::Verdict) override;
    void on_dane_found(net::DaneFinder&, net::DaneQuestion) override;
    bool on_record(std::uint32_t kind, std::uint32_t from_shard, Bytes record) override;
    void on_turn_end() override;
    void on_timer(Timer&) override { sweep(); }
    [[nodiscard]] const char* refusal(const InStream&, Bytes their);
    [[nodiscard]] bool ask_on_stream(std::uint64_t number, const Question&);
    void question_here(const Asker&, const Question&);
    void answer_here(std::uint64_t number, std::optional<xml::Verdict>);
    void sweep_soon();

    Context& context_;
    DoorGuard& guard_;
    InquiriesOwner& owner_;
    std::vector<Asked> asked_;
    std::uint64_t last_number_ = 0;
    std::vector<Refused> refused_;
    std::vector<Search> searches_;
    Timer sweep_;
};

}  // namespace fedgate::edge
