// What fedload was told on its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fedgate::load {

enum class Mode : std::uint8_t {
    kToSip,     // XMPP to SIP
    kToXmpp,    // SIP to XMPP
    kSipToSip,  // through a SIP server
    kReturn,    // XMPP to XMPP: each comes back
    kReflect,   // sends back what comes: the product's edge alone, to be loaded
    kSetUps,    // streams, one after the other
    kIdle,      // streams that stay
    kPresence,  // what standard input says
    kStorm,     // presence: everybody subscribes
    kFanOut,    // presence: everybody's status changes
    kRefresh,   // presence: SIP users refresh their subscriptions
};

struct Options {
    Mode mode = Mode::kToSip;
    std::vector<int> pids;  // of the target
    std::string xmpp, xmpp_listen, sip, sip_listen, tls;
    std::string sip_transport;  // udp, tcp, tls; empty: tls with `tls`, else tcp
    std::string auth;           // external, dialback; empty: of streams external if there is `tls`
    std::string partner = "partner.example";
    std::string domain = "sip.example";
    bool own_target = false;  // it need not be on loopback
    bool json = false;
    std::string plot;      // .svg or .png
    std::string sessions;  // lync; empty: single messages
    bool hold = false;     // the sessions stay
    unsigned limit_s = 120;
    unsigned silence_s = 10;  // without any answer: it is over
    unsigned window = 0;      // 0: 1000; of set-ups 64
    double rate = 0;          // a second; 0: as fast as `window` lets
    unsigned domains = 0;     // 0: 1; of presence 20
    // Messages, or streams.
    unsigned count = 0;  // 0: 100,000; of streams 10,000
    static constexpr unsigned kWarmUpUnset = UINT32_MAX;
    unsigned warm_up = kWarmUpUnset;  // 20,000; of streams none
    unsigned pairs = 1'000;
    unsigned body = 100;
    // Presence.
    unsigned watchers = 5'000;
    unsigned contacts = 200;
    unsigned expires = 3'600;

    [[nodiscard]] bool presence() const {
        return mode == Mode::kPresence || mode == Mode::kStorm || mode == Mode::kFanOut ||
               mode == Mode::kRefresh;
    }
    [[nodiscard]] bool streams() const { return mode == Mode::kSetUps || mode == Mode::kIdle; }
    [[nodiscard]] bool external() const { return auth == "external"; }
    [[nodiscard]] bool has_xmpp() const { return mode != Mode::kSipToSip; }
    // Who sends stanzas, or proves himself by dialback, is asked back.
    [[nodiscard]] bool has_xmpp_listener() const {
        return has_xmpp() && !(streams() && external());
    }
    [[nodiscard]] bool has_sip() const {
        return mode == Mode::kToSip || mode == Mode::kToXmpp || mode == Mode::kSipToSip ||
               presence();
    }
    [[nodiscard]] bool through_gateway() const {
        return mode == Mode::kToSip || mode == Mode::kToXmpp;
    }
    [[nodiscard]] bool has_target() const { return mode != Mode::kReflect; }
};

}  // namespace fedgate::load
