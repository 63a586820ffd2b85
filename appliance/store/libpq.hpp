// libpq with owners, and with an end to its patience. Only for the .cpp files of this folder.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <libpq-fe.h>
#include <poll.h>
#include <string>
#include <utility>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/check.hpp"

namespace fedgate::store {

// What a server has answered; nothing where it has not.
class Result {
public:
    Result() = default;
    explicit Result(PGresult* result) : result_(result) {}
    ~Result() { PQclear(result_); }
    Result(Result&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
    Result& operator=(Result&& other) noexcept {
        std::swap(result_, other.result_);
        return *this;
    }

    explicit operator bool() const { return result_ != nullptr; }
    [[nodiscard]] ExecStatusType status() const { return PQresultStatus(result_); }
    [[nodiscard]] bool good() const {
        return result_ != nullptr && (status() == PGRES_COMMAND_OK || status() == PGRES_TUPLES_OK ||
                                      status() == PGRES_SINGLE_TUPLE);
    }
    // SQLSTATE and sentence of an error.
    [[nodiscard]] Bytes state() const { return field(PG_DIAG_SQLSTATE); }
    [[nodiscard]] Bytes sentence() const { return field(PG_DIAG_MESSAGE_PRIMARY); }

    [[nodiscard]] int rows() const { return PQntuples(result_); }
    [[nodiscard]] std::uint64_t affected() const {
        const Bytes text = PQcmdTuples(result_);
        std::uint64_t count = 0;
        std::from_chars(text.data(), text.data() + text.size(), count);
        return count;
    }
    // Columns are in binary: text as it is, whole numbers in network byte order. Valid as long as
    // this is.
    [[nodiscard]] Bytes bytes(int row, int column) const {
        return {PQgetvalue(result_, row, column),
                static_cast<std::size_t>(PQgetlength(result_, row, column))};
    }
    [[nodiscard]] std::int64_t number(int row, int column) const {
        const Bytes value = bytes(row, column);
        std::uint64_t number = !value.empty() && static_cast<signed char>(value[0]) < 0 ? ~0ULL : 0;
        for (const char c : value) number = number << 8 | static_cast<unsigned char>(c);
        return static_cast<std::int64_t>(number);
    }

private:
    [[nodiscard]] Bytes field(int name) const {
        const char* const text = PQresultErrorField(result_, name);
        return text != nullptr ? Bytes(text) : Bytes();
    }
    PGresult* result_ = nullptr;
};

// Values of $1, $2 ... The bytes must stay until the call.
class Parameters {
public:
    Parameters() = default;
    Parameters(const Parameters&) = delete;
    Parameters& operator=(const Parameters&) = delete;

    Parameters& add(Bytes bytes) {
        FEDGATE_CHECK(count_ < kMax);
        values_[count_] = bytes.data() != nullptr ? bytes.data() : "";
        sizes_[count_] = static_cast<int>(bytes.size());
        formats_[count_++] = 1;
        return *this;
    }
    Parameters& add(std::int64_t number) {
        FEDGATE_CHECK(count_ < kMax);
        auto& text = numbers_[count_];
        *std::to_chars(text.data(), text.data() + text.size() - 1, number).ptr = 0;
        values_[count_] = text.data();
        formats_[count_++] = 0;
        return *this;
    }
    // As it would be written in SQL.
    Parameters& add_text(const std::string& text) {
        FEDGATE_CHECK(count_ < kMax);
        values_[count_] = text.c_str();
        formats_[count_++] = 0;
        return *this;
    }

    [[nodiscard]] int count() const { return static_cast<int>(count_); }
    [[nodiscard]] const char* const* values() const { return values_.data(); }
    [[nodiscard]] const int* sizes() const { return sizes_.data(); }
    [[nodiscard]] const int* formats() const { return formats_.data(); }

private:
    static constexpr std::size_t kMax = 8;
    std::size_t count_ = 0;
    std::array<const char*, kMax> values_{};
    std::array<int, kMax> sizes_{};
    std::array<int, kMax> formats_{};
    std::array<std::array<char, 24>, kMax> numbers_{};
};

// A connection. After a fault that is not an error of a statement it is of no use any more.
class Server {
public:
    Server() = default;
    ~Server() { PQfinish(connection_); }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Keywords and values, each list ended by a null.
    [[nodiscard]] bool connect(const char* const* keywords, const char* const* values) {
        connection_ = PQconnectdbParams(keywords, values, 1);
        PQsetNoticeProcessor(connection_, [](void*, const char*) {}, nullptr);
        return PQstatus(connection_) == CONNECTION_OK && PQsetnonblocking(connection_, 1) == 0;
    }
    // Why there was no result, in one line.
    [[nodiscard]] std::string error() const {
        if (late_) return "no answer within " + std::to_string(kPatience.count()) + " s";
        std::string text = PQerrorMessage(connection_);
        while (!text.empty() && text.back() == '\n') text.pop_back();
        std::ranges::replace(text, '\n', ';');
        std::erase(text, '\t');
        constexpr std::size_t kBytes = 400;
        if (text.size() > kBytes) text.resize(kBytes);
        return text;
    }
    [[nodiscard]] Bytes setting(const char* name) const {
        const char* const value = PQparameterStatus(connection_, name);
        return value != nullptr ? Bytes(value) : Bytes();
    }

    Result run(const char* sql) { return run(sql, Parameters()); }
    Result run(const char* sql, const Parameters& parameters) {
        if (!send(sql, parameters)) return {};
        Result first = take();
        while (Result more = take()) {
            if (!first || first.good()) first = std::move(more);
        }
        return late_ ? Result() : std::move(first);
    }
    // Rows come one by one from take(), until there is nothing any more.
    [[nodiscard]] bool send_for_rows(const char* sql, const Parameters& parameters) {
        return send(sql, parameters) && PQsetSingleRowMode(connection_) == 1;
    }
    [[nodiscard]] bool prepare(const char* name, const char* sql) {
        return PQsendPrepare(connection_, name, sql, 0, nullptr) == 1 && take_last();
    }

    // Within these: send_prepared() as often as wanted, sync(), as many take_one(), take_sync().
    [[nodiscard]] bool enter_pipeline() { return PQenterPipelineMode(connection_) == 1; }
    [[nodiscard]] bool exit_pipeline() { return PQexitPipelineMode(connection_) == 1; }
    [[nodiscard]] bool send_prepared(const char* name, const Parameters& parameters) {
        return PQsendQueryPrepared(connection_, name, parameters.count(), parameters.values(),
                                   parameters.sizes(), parameters.formats(), 1) == 1;
    }
    [[nodiscard]] bool sync() { return PQpipelineSync(connection_) == 1; }
    Result take_one() {
        Result result = take();
        if (result) static_cast<void>(take());  // it is followed by nothing
        return result;
    }
    Result take_sync() { return take(); }

    // Nothing: the end of a statement, or a fault (late, or the connection is broken).
    Result take() {
        if (!wait()) return {};
        return Result(PQgetResult(connection_));
    }

private:
    static constexpr auto kPatience = std::chrono::seconds(5);

    [[nodiscard]] bool send(const char* sql, const Parameters& parameters) {
        return PQsendQueryParams(connection_, sql, parameters.count(), nullptr, parameters.values(),
                                 parameters.sizes(), parameters.formats(), 1) == 1;
    }
    [[nodiscard]] bool take_last() {
        bool good = false;
        bool any = false;
        while (Result result = take()) {
            good = (!any || good) && result.good();
            any = true;
        }
        return good && !late_;
    }
    // Until a result is there: the server may wait for a disk, or be gone without a word.
    [[nodiscard]] bool wait() {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (!late_) {
            const int unsent = PQflush(connection_);
            if (unsent < 0) return true;  // the result says why
            if (unsent == 0 && PQisBusy(connection_) == 0) return true;
            pollfd wanted{PQsocket(connection_), POLLIN, 0};
            if (unsent > 0) wanted.events |= POLLOUT;
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(
                end - std::chrono::steady_clock::now());
            if (left.count() <= 0) {
                late_ = true;
                break;
            }
            if (poll(&wanted, 1, static_cast<int>(left.count())) <= 0) continue;
            if ((wanted.revents & ~POLLOUT) != 0 && PQconsumeInput(connection_) == 0) return true;
        }
        return false;
    }

    PGconn* connection_ = nullptr;
    bool late_ = false;
};

}  // namespace fedgate::store
