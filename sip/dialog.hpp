// One SIP dialog, as UAC and as UAS: RFC 3261 section 12. It knows who talks (Call-ID, tags, URIs),
// which way requests go (route set and remote target: SIP-16) and the CSeq numbers of both sides.
// Pure: requests and responses in, heads of requests out. Timers are those of its transactions and
// of what uses it (sip/subscription).
//
//     INVITE, 1xx/2xx in:  Dialog::from_response(head, response)     one for each To tag (SIP-21)
//     INVITE, SUBSCRIBE or first NOTIFY in:  Dialog::from_request(request, our tag)
//     a request in it:     status = dialog.on_request(request)       refuse unless 0
//     a request of ours:   dialog.next_request(Method::kBye, head)   fills all of head but Via
//
// Owner: a slab; its handle is in a KeyIndex under key(). An object is 32 bytes and one text (some
// 300 bytes), which changes with the remote target; views are valid until then.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/base/bytes.hpp"
#include "core/base/error.hpp"
#include "core/base/prefetch.hpp"
#include "sip/message.hpp"
#include "sip/transaction_key.hpp"
#include "sip/writer.hpp"

namespace fedgate::sip {

constexpr std::uint32_t kNoCseq = UINT32_MAX;  // no request can have it (RFC 3261 8.1.1.5)

class Dialog {
public:
    // UAC: of a 101-299 response to the INVITE that `sent` was the head of. Early until a 2xx.
    [[nodiscard]] static Result<Dialog> from_response(const RequestHead& sent, const Message&);
    // UAS: of an INVITE or SUBSCRIBE without a To tag. Subscriber: of the NOTIFY that makes the
    // dialog, whose To tag is the tag of our SUBSCRIBE, with the CSeq of that (RFC 6665 4.4.1: the
    // route set is the NOTIFY's, not the 2xx's). refusal() of the error is the answer.
    [[nodiscard]] static Result<Dialog> from_request(const Message&, Bytes local_tag,
                                                     std::uint32_t local_cseq = 0);
    [[nodiscard]] static std::uint16_t refusal(const Error&);  // 513: too large for us; else 400

    // As text, for what outlives the process; not of an early one. Nobody else's text makes
    // trouble: what is wrong is kMalformed or kLimit.
    void save(Sink&) const;
    [[nodiscard]] static Result<Dialog> restore(Bytes saved);
    static constexpr std::size_t kSavedBytes = limits::kSipDialogBytes + 64;  // at most

    // A request in this dialog. 0: it is in order, and what it changes is taken over. 500: its CSeq
    // is not above the last one (SIP-22; gaps are fine). 400, 513: its Contact.
    [[nodiscard]] std::uint16_t on_request(const Message&);
    // Of a request whose taking may have to wait, so that on_text() follows when it is taken.
    // RFC 3261 12.2.2: one with the number of the one before may be of another method.
    [[nodiscard]] bool in_order(const Message& request) const {
        return remote_cseq_ == kNoCseq || request.cseq.number >= remote_cseq_;
    }
    // The same of one that in_order() let pass and that has no Contact: a MESSAGE, an INFO.
    void on_text(const Message& request) { remote_cseq_ = request.cseq.number; }
    // A final response to a request of ours in this dialog. False: it ends the dialog (RFC 3261
    // 12.2.1.2; a transaction without a response does too).
    [[nodiscard]] bool on_response(Method of, const Message& response);
    // The 2xx to the INVITE of an early dialog: RFC 3261 13.2.2.4.
    [[nodiscard]] Result<void> confirm(const Message& response);

    // The next request, but for ACK and CANCEL: head.dialog_lines stand for From, To and Call-ID.
    // False: the CSeq numbers are used up, as good as a dead dialog.
    [[nodiscard]] bool next_request(Method, RequestHead&);
    // The same at once, of a text, of which there are many: what write_request_head() would write,
    // with a whole value for Via. At most so many bytes and the line of Via; only if
    // has_next_cseq(). Gives the bytes before that line.
    std::size_t write_request(Method, Bytes via, Sink&);
    [[nodiscard]] std::size_t request_bytes_max() const { return text_bytes_ + kRequestBytes; }
    // write_request() is soon, or a look at Call-ID and remote tag: what that reads is fetched from
    // memory meanwhile.
    void prefetch() const { prefetch(0, text_bytes_); }
    void prefetch_ids() const { prefetch(ends_[kRemoteUri], ends_[kCallId]); }
    [[nodiscard]] bool has_next_cseq() const { return local_cseq_ < kCseqMax; }
    // The ACK of a 2xx to our INVITE with that CSeq, as often as that comes (RFC 3261 13.2.2.4).
    void fill_ack(RequestHead&, std::uint32_t cseq) const;
    // A request was sent again with a higher CSeq (credentials: RFC 3261 22.2).
    // Or it goes on after a restart, which may have forgotten the last ones.
    void note_cseq(std::uint32_t cseq);

    // Where requests go first: the target of RFC 3263 (SIP-9).
    [[nodiscard]] Bytes next_hop() const;
    [[nodiscard]] Bytes call_id() const { return part(kCallId); }
    [[nodiscard]] Bytes local_tag() const { return part(kLocalTag); }
    [[nodiscard]] Bytes remote_tag() const { return part(kRemoteTag); }
    [[nodiscard]] Bytes local_uri() const { return part(kLocalUri); }
    [[nodiscard]] Bytes remote_uri() const { return part(kRemoteUri); }
    [[nodiscard]] Bytes remote_target() const;
    [[nodiscard]] Bytes route_set() const;  // as one Route value; empty: none
    [[nodiscard]] std::uint32_t local_cseq() const { return local_cseq_; }
    [[nodiscard]] bool early() const { return early_; }
    [[nodiscard]] bool secure() const { return secure_; }  // our Contact is sips too
    [[nodiscard]] TransactionKey key(const KeySecret& secret) const {
        return dialog_key(secret, call_id(), local_tag(), remote_tag());
    }

private:
    enum Part : std::uint8_t { kLocalUri, kLocalTag, kRemoteUri, kRemoteTag, kCallId, kParts };
    enum class Order : std::uint8_t { kAsIs, kReversed };
    struct Routes;
    static constexpr std::uint32_t kCseqMax = 0x7fff'ffff;  // RFC 3261 8.1.1.5
    static constexpr std::size_t kRequestBytes = 80;  // of one, beside the text and the line of Via

    Dialog() = default;
    void prefetch(std::size_t begin, std::size_t end) const {
        fedgate::prefetch(text_.get() + begin, end - begin);
    }
    [[nodiscard]] Bytes text() const { return {text_.get(), text_bytes_}; }
    void put(std::size_t begin, Bytes tail);
    [[nodiscard]] Bytes part(Part) const;
    [[nodiscard]] std::size_t way_at() const;
    [[nodiscard]] bool has_routes() const { return target_at_ != way_at(); }
    [[nodiscard]] Result<void> keep(const std::array<Bytes, kParts>&);
    [[nodiscard]] Result<void> keep_way(const Message&, Order, Bytes target);
    [[nodiscard]] Result<void> keep_way(const Routes&, Bytes target);
    [[nodiscard]] Result<void> set_target(Bytes uri);
    void fill(Method, std::uint32_t cseq, RequestHead&) const;

    // The parts, in the lines that each request of ours has from From to "CSeq: "; and behind them
    // the way: "<first>, <second>, <target>". One text is enough for loose and for strict routing
    // (RFC 3261 12.2.1.1): fill().
    std::unique_ptr<char[]> text_;
    std::uint16_t text_bytes_ = 0;
    std::array<std::uint16_t, kParts> ends_{};  // of the parts in it
    std::uint16_t target_at_ = 0;
    bool strict_ : 1 = false;  // the first route has no `lr`
    bool early_ : 1 = false;
    bool secure_ : 1 = false;
    std::uint32_t local_cseq_ = 0;
    std::uint32_t remote_cseq_ = kNoCseq;
};

}  // namespace fedgate::sip
