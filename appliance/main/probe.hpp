// Tries whether a machine can be reached, as the link would reach it: by our resolver, to a TCP
// connection. Thread: the shard's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "appliance/link/channel.hpp"
#include "net/connection.hpp"
#include "net/dialer.hpp"

namespace fedgate {

class Probe final : net::DialerOwner, net::ConnectionOwner {
public:
    // `done(why)`, once: empty, or why it can't.
    Probe(Loop& loop, net::Resolver& resolver, const std::string& host, std::uint16_t port,
          std::function<void(std::string)> done)
        : done_(std::move(done)), dialer_(loop, resolver, *this) {
        dialer_.start(net::Lookup::fixed(host, port, net::Transport::kTcp, {.allow_literal = true}),
                      *this, link::kLinkConnection);
    }

private:
    void on_dialed(net::Dialer&, std::unique_ptr<net::Connection> connection,
                   const net::Target&) override {
        connection_ = std::move(connection);
        connection_->close();
        done_("");
    }
    void on_dial_failed(net::Dialer&, net::DialFault fault, Error last, Instant) override {
        done_(std::string(link::why_not_reached(fault, last)));
    }
    std::size_t on_data(net::Connection&, MutableBytes input) override { return input.size(); }
    void on_closed(net::Connection&, Error) override { connection_.reset(); }
    void on_secured(net::Connection&) override {}

    std::function<void(std::string)> done_;
    net::Dialer dialer_;
    std::unique_ptr<net::Connection> connection_;
};

}  // namespace fedgate
