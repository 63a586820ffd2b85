// What fedload was told on its command line.
#pragma once

#include <string>

namespace fedgate::load {

struct Options {
    int pid = 0;
    std::string xmpp, xmpp_listen, sip, sip_listen, tls;
    std::string partner = "partner.example";
    std::string domain = "sip.example";
    unsigned limit_s = 120;
    unsigned window = 1'000;
    // Messages.
    bool to_sip = true;
    unsigned count = 100'000;
    unsigned warm_up = 20'000;
    unsigned pairs = 1'000;
    unsigned body = 100;
    // Presence.
    bool presence = false;
    unsigned watchers = 5'000;
    unsigned contacts = 200;
    unsigned domains = 20;
    unsigned expires = 3'600;
};

}  // namespace fedgate::load
