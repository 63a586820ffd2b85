// The SIP side of a load: it answers requests as its user says, and sends requests of its own over
// one connection, or from the address where it listens (UDP, where they are sent again until they
// are answered). Owner: fedload. Thread: its own. Bounded by the window of the load.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/run/loop.hpp"
#include "net/connection.hpp"
#include "net/tls.hpp"
#include "sip/framer.hpp"
#include "sip/message.hpp"
#include "sip/writer.hpp"

namespace fedgate::load {

constexpr Bytes kOwnTag = "load";  // of each dialog that others begin

class SipEnd final : public net::ConnectionOwner, SocketOwner {
public:
    struct Answer {
        sip::ResponseHead head;
        Sink& lines;         // whole header lines
        Bytes content_type;  // empty: no body
        Bytes body;
    };
    struct Events {
        // A request came in. This is how it is answered; an ACK is not.
        std::function<void(const sip::Message&, Answer&)> on_request;
        // Behind the answer: requests of ours may be sent.
        std::function<void(const sip::Message&)> on_answered;
        std::function<void(const sip::Message&)> on_response;  // a final one to one of ours
        std::function<void(const char* what)> on_broken;       // our connection to the target
    };

    // `tls`: for sip::Transport::kTls.
    SipEnd(Loop&, sip::Transport, net::TlsContext* tls, Events);
    ~SipEnd();

    Result<void> listen(const SocketAddress&);
    Result<void> connect(const SocketAddress& target, const std::string& server_name);
    [[nodiscard]] bool connected() const { return out_ready_; }
    // Fills `head.via`. `lines`: whole header lines. False: the connection has no room now.
    [[nodiscard]] bool send(sip::RequestHead head, Bytes lines, Bytes content_type, Bytes body);
    void resend();  // what is due; now and then

private:
    void on_accept(Socket, Socket connection, const SocketAddress& peer) override;
    void on_open(net::Connection&) override;
    void on_secured(net::Connection&) override;
    std::size_t on_data(net::Connection&, MutableBytes input) override;
    void on_closed(net::Connection&, Error) override;
    void on_datagram(Socket, const SocketAddress& from, MutableBytes) override;
    // What `message_` asks for, as an answer in answer_; empty: nothing.
    [[nodiscard]] Bytes answer();
    void answered();
    void on_final();

    struct Peer {
        std::unique_ptr<net::Connection> connection;
        sip::Framer framer;
    };

    // UDP: a request without a final answer.
    struct Unanswered {
        std::string request;
        Instant next;
        Duration wait;
        unsigned left;
    };

    Loop& loop_;
    const sip::Transport transport_;
    net::TlsContext* tls_;
    Events events_;
    Socket listener_{};  // UDP: the socket
    SocketAddress target_;
    std::map<net::Connection*, Peer> peers_;                    // kPeersMax
    std::unordered_map<std::uint64_t, Unanswered> unanswered_;  // by serial
    Instant looked_{};
    net::Connection* out_ = nullptr;
    std::string server_name_;
    bool out_ready_ = false;
    std::uint64_t run_ = 0;  // random: branches are no other run's
    std::uint64_t serial_ = 0;
    sip::Message message_;
    std::array<char, 8'192> answer_{};
};

}  // namespace fedgate::load
