// Which certificates do DNSSEC and the TLSA records of a domain allow its servers? Asked for
// somebody who has connected to us: RFC 7673 names the certificate of the server that one connects
// to, and who connects is one of the domain's servers, so it is looked for among all of them.
#pragma once

#include <memory>
#include <string>

#include "core/run/loop.hpp"
#include "net/dane.hpp"
#include "net/resolver.hpp"

namespace fedgate::net {

class DaneFinder;

class DaneFinderOwner {
public:
    // Once. The finder may be destroyed from within.
    virtual void on_dane_found(DaneFinder&, DaneQuestion) = 0;

protected:
    ~DaneFinderOwner() = default;
};

class DaneFinder {
public:
    // Of all questions together; what was not answered by then is withheld.
    static constexpr Duration kTimeout = std::chrono::seconds(4);
    static constexpr std::size_t kServersMax = 16;  // more are not looked at

    // on_dane_found() follows, never from within. Destroyed before that, it ends silently.
    DaneFinder(Loop&, Resolver&, DaneFinderOwner&, std::string domain);
    ~DaneFinder();
    DaneFinder(const DaneFinder&) = delete;
    DaneFinder& operator=(const DaneFinder&) = delete;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace fedgate::net
