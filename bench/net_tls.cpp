// The record path of TLS 1.3, without handshakes and sockets: plain text to records, and back.
#include <array>
#include <memory>
#include <string>

#include "bench/allocations.hpp"
#include "net/tls.hpp"

namespace fedgate::net {
namespace {

constexpr WallTime kNow{1'800'000'000s};

std::unique_ptr<TlsContext> context() {
    const auto made = make_self_signed({"sip.example.net"}, 30, kNow);
    if (!made) std::abort();
    TlsConfig config;
    config.credentials = {{{{}, made->certificate}, {{}, made->key}}};
    auto loaded = TlsContext::load(config);
    if (!loaded) std::abort();
    return std::move(*loaded);
}

// Both ends of a connection whose handshake is over.
struct Ends {
    Ends() : shared(context()) {
        client = TlsSession::client(*shared, "sip.example.net", {}, kNow);
        server = TlsSession::server(*shared, {}, kNow);
        for (int i = 0; i < 10; ++i) {
            step(*client, to_client, to_server);
            step(*server, to_server, to_client);
        }
        if (client->version() != std::string("TLSv1.3")) std::abort();
    }

    static void step(TlsSession& session, Buffer& from, Buffer& to) {
        Bytes input = from.bytes();
        if (session.handshake(input, to) == TlsSession::Outcome::kFailed) std::abort();
        from.consume(from.size() - input.size());
    }

    std::unique_ptr<TlsContext> shared;
    std::unique_ptr<TlsSession> client, server;
    Buffer to_client, to_server;
};

void per_record(benchmark::State& state) {
    state.SetBytesProcessed(state.iterations() * state.range(0));
    state.SetLabel("bytes of plain text: " + std::to_string(state.range(0)));
}

void seal(benchmark::State& state) {
    Ends ends;
    const std::string plain(static_cast<std::size_t>(state.range(0)), 'x');
    bench::loop(state, [&] {
        if (!ends.client->write(plain, ends.to_server)) state.SkipWithError("not written");
        ends.to_server.clear();
    });
    per_record(state);
}
BENCHMARK(seal)->Arg(300)->Arg(16'000);

void seal_and_open(benchmark::State& state) {
    Ends ends;
    const std::string plain(static_cast<std::size_t>(state.range(0)), 'x');
    std::array<char, 16'384> memory;
    bench::loop(state, [&] {
        static_cast<void>(ends.client->write(plain, ends.to_server));
        Bytes input = ends.to_server.bytes();
        std::size_t got = 0;
        const auto outcome = ends.server->read(input, memory, got, ends.to_client);
        if (outcome != TlsSession::Outcome::kDone || got != plain.size() || !input.empty())
            state.SkipWithError("not read");
        ends.to_server.clear();
    });
    per_record(state);
}
BENCHMARK(seal_and_open)->Arg(300)->Arg(16'000);

}  // namespace
}  // namespace fedgate::net

BENCHMARK_MAIN();
