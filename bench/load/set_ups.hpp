// A load of stream set-ups: TCP, STARTTLS, TLS, SASL EXTERNAL or dialback, or dialback in clear, as
// a partner's server does it, with the product's own stream engine; its edge answers for our
// dialback keys. A stream that stands is closed at once, or stays (Mode::kIdle). Owner: main.
// Thread: its own. Memory: one Client for each stream that is open.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "bench/load/ends.hpp"
#include "bench/load/results.hpp"
#include "net/connection.hpp"
#include "xml/stream.hpp"

namespace fedgate::load {

class SetUps final : public link::GatewayDoor {
public:
    explicit SetUps(const Options&);
    ~SetUps();

    [[nodiscard]] int run();  // the program's exit status

private:
    class Client;

    [[nodiscard]] bool set_up();
    void begin_more();
    void on_stands(std::uint64_t latency_ns);
    void on_over(Client&, const std::string& why, bool stood);
    bool take_stanza(const link::FromPartner&) override { return true; }  // none is asked for
    void on_outcome(const link::Outcome&) override {}
    void hold();
    void measure_from_here();
    [[nodiscard]] std::string why_over(std::uint64_t now) const;
    [[nodiscard]] std::uint64_t ended() const { return results_.delivered + results_.refused; }
    [[nodiscard]] bool idle() const { return options_.mode == Mode::kIdle; }

    const Options& options_;
    Ends ends_;
    SocketAddress target_;
    xml::StreamSettings settings_;
    std::list<std::unique_ptr<Client>> clients_, over_;
    std::uint64_t begun_ = 0, open_ = 0, gone_ = 0;
    std::uint64_t begun_ns_ = 0, measured_from_ns_ = 0, moved_ns_ = 0;
    std::uint64_t cpu_from_ = 0, own_cpu_from_ = 0;
    bool warm_ = false;
    std::string first_refusal_;
    Results results_;
};

}  // namespace fedgate::load
