// What is known of a link, for `fedctl status` and `fedctl ports`. Both ends say it alike.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/time.hpp"

namespace fedgate::link {

struct LinkRow {
    std::string peer;     // its name, as proved or as configured
    std::string node;     // what it calls itself; empty: it has not said
    std::string address;  // empty: no connection
    std::uint16_t part = 0;
    bool up = false;
    bool active = false;  // takes what is new
    Duration since{};     // up or down, ago
    std::string why;      // down: the rest of a sentence; empty: not tried yet
};

// By which edges the users of a site reach partners now.
struct RouteRow {
    std::string site;   // empty: all who are of none, or of one without a route
    std::string first;  // the pool, or an edge of none, that is wanted first; empty: none is known
    std::string now;    // the one that is used; empty: none is there
    Duration since{};   // ago
    std::vector<std::string> missing;  // those of the first choice that are not there, and why
};

}  // namespace fedgate::link
