// The rows of a pool: a server that speaks PostgreSQL's protocol, which several nodes share. Each
// serves the slots that are its own, and writes no other: README.md.
// Waits for the network. Thread: one at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "appliance/store/database.hpp"

namespace fedgate::store {

class Server;  // libpq.hpp
class Result;

// Is that a database of ours, as far as its URL says? Empty, or what is wrong with it.
[[nodiscard]] std::string fault_of_url(const std::string& url);

class PostgreSql final : public Database {
public:
    // `node`: our name, by which edges choose us; no other process may have it.
    PostgreSql(std::string url, std::string node, Pace = {});
    ~PostgreSql();
    PostgreSql(const PostgreSql&) = delete;
    PostgreSql& operator=(const PostgreSql&) = delete;

    [[nodiscard]] Fault open() override;
    void close() override;
    [[nodiscard]] bool is_open() const override { return server_ != nullptr; }
    [[nodiscard]] Fault scan(const Slots&, const Visitor&, Damage&) override;
    [[nodiscard]] Fault write(std::span<const Batch* const>) override;
    [[nodiscard]] Fault probe() override;
    [[nodiscard]] Fault rebuild(WallTime, Damage&, std::string& aside) override;
    [[nodiscard]] const std::string& why() const override { return why_; }
    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] const char* remedy(Fault) const override;
    [[nodiscard]] std::uint64_t rows() const override;

    [[nodiscard]] bool is_shared() const override { return true; }
    [[nodiscard]] Pace pace() const override { return pace_; }
    [[nodiscard]] Fault meet(Shares&) override;
    [[nodiscard]] bool is_behind() const override { return is_behind_; }
    [[nodiscard]] Fault give_up(const Slots&) override;
    void resign() override { resigned_ = true; }
    void retire() override;
    [[nodiscard]] std::string describe_shares() const override;

private:
    using Clock = std::chrono::steady_clock;
    struct Peer {
        std::int64_t incarnation = 0;
        std::int64_t beat = 0;
        Clock::time_point since{};  // that it was seen to do something
        bool there = false;         // its row is
    };
    struct Writing;

    [[nodiscard]] Fault fail(const Result&, const char* what);
    [[nodiscard]] Fault connect();
    [[nodiscard]] Fault identify();
    [[nodiscard]] Fault make();
    [[nodiscard]] Fault prepare();
    [[nodiscard]] Fault try_write(std::span<const Batch* const>, Writing&);
    [[nodiscard]] Fault hold(Writing&);
    [[nodiscard]] Fault beat(Shares&);
    [[nodiscard]] Fault look_round();
    [[nodiscard]] Fault share_out(Shares&);
    [[nodiscard]] Fault take(const Slots&, const std::array<std::int64_t, kSlots>&, Slots& gained);
    [[nodiscard]] Fault let_go(const Slots&, const std::array<std::int64_t, kSlots>&);
    [[nodiscard]] bool is_alive(const std::string& node) const;
    [[nodiscard]] bool is_ours(std::size_t slot) const;

    const std::string url_;
    const std::string node_;
    const Pace pace_;
    const std::string name_;  // the URL without what is not for everybody
    const std::int64_t incarnation_;
    std::unique_ptr<Server> server_;
    std::string why_;
    bool claimed_ = false;  // the name is ours
    bool is_behind_ = false;
    bool resigned_ = false;
    bool may_pass_ = false;  // the last fault was of two who met: at once again
    Clock::time_point met_at_{};
    std::map<std::string, Peer> peers_;  // all nodes but this one; and the one that has our name
    Slots mine_;
    std::array<std::int64_t, kSlots> epochs_{};   // of those
    std::array<std::uint64_t, kSlots> counts_{};  // rows of those
};

}  // namespace fedgate::store
