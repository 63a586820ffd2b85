// A store's process: two shards with a user each.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "appliance/store/service.hpp"
#include "core/run/uring_loop.hpp"
#include "tests/store/files.hpp"

namespace fedgate::store::test {

// A shard's user. Its thread writes, the test reads.
struct Listener final : User {
    void on_stored(Sequence last, bool ok) override { (ok ? kept : refused).store(last); }
    void on_restored(std::span<const Row> all) override {
        rows += all.size();
        most_at_once = std::max<std::size_t>(most_at_once, all.size());
    }
    void on_restore_done() override { ++done; }
    void on_lost(const Slots& slots) override { lost += slots.count(); }
    void on_tenure(Tenure now) override { tenure = now; }

    std::atomic<Sequence> kept{0};
    std::atomic<Sequence> refused{0};
    std::atomic<std::size_t> rows{0};
    std::atomic<std::size_t> most_at_once{0};
    std::atomic<int> done{0};
    std::atomic<std::size_t> lost{0};
    std::atomic<Tenure> tenure{Tenure::kLost};
};

// Two shards and their store: a process, from its start to its end.
class Process {
public:
    explicit Process(std::unique_ptr<Database> database)
        : group_(2), store_(group_, std::move(database), [](const Row& row) {
              return static_cast<std::uint32_t>(row.xmpp.size() > 9 ? row.xmpp[9] & 1 : 0);
          }) {
        for (std::uint32_t i = 0; i < 2; ++i) {
            threads_.emplace_back([this, i] {
                auto loop = UringLoop::make();
                FEDGATE_CHECK(loop.has_value());
                Shard shard(group_, i, **loop);
                store_.door(i).attach(shard, listeners[i]);
                shard.run();
                store_.door(i).detach();
            });
        }
        store_.start();
    }
    ~Process() {
        group_.stop();
        for (std::thread& thread : threads_) thread.join();
        store_.finish();
    }

    // On the shard's thread; waits for it.
    template <typename Function>
    auto on_shard(std::uint32_t i, Function function) {
        std::promise<decltype(function(store_.door(i)))> promise;
        auto future = promise.get_future();
        FEDGATE_CHECK(group_.post(i, [&](Shard&) { promise.set_value(function(store_.door(i))); }));
        return future.get();
    }
    // Waits until it is on disk.
    bool keep(const std::string& xmpp) {
        const std::uint32_t i = 0;
        std::optional<Sequence> sequence;
        return until([&] { return (sequence = put(xmpp, i)).has_value(); }) &&
               until([&] { return listeners[i].kept >= *sequence; });
    }
    std::optional<Sequence> put(const std::string& xmpp, std::uint32_t i = 0) {
        return on_shard(i, [&](Door& door) { return door.put(row(xmpp)); });
    }
    static bool until(const std::function<bool()>& predicate) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!predicate()) {
            if (std::chrono::steady_clock::now() > end) return false;
            std::this_thread::sleep_for(1ms);
        }
        return true;
    }
    bool restored(std::size_t rows, int times = 1) {
        return until([&] { return listeners[0].done == times && listeners[1].done == times; }) &&
               listeners[0].rows + listeners[1].rows == rows;
    }
    std::string remark() {
        const auto remarks = store_.status().remarks;
        return remarks.empty() ? std::string() : remarks.front();
    }
    std::string log() {
        std::string lines;
        store_.log().drain(lines);
        return lines;
    }
    Service& store() { return store_; }

    std::array<Listener, 2> listeners;

private:
    ShardGroup group_;
    Service store_;
    std::vector<std::thread> threads_;
};

}  // namespace fedgate::store::test
