#include "appliance/main/journal.hpp"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace fedgate {
namespace {

constexpr const char* kSocket = "/run/systemd/journal/socket";

// As syslog(3) numbers them.
char priority_of(Severity severity) {
    switch (severity) {
        case Severity::kError: return '3';
        case Severity::kWarning: return '4';
        case Severity::kInfo: return '6';
        case Severity::kDebug: break;
    }
    return '7';
}

// `peer` -> `FG_PEER`: letters, digits and underscores only.
std::string field_name(const std::string& key) {
    std::string name = "FG_";
    for (const char c : key) {
        const bool small = c >= 'a' && c <= 'z';
        const bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        name += small ? static_cast<char>(c - 'a' + 'A') : plain ? c : '_';
    }
    return name;
}

}  // namespace

Journal Journal::of_stderr() {
    // systemd names the stream that it has given us; a shell that redirects it changes nothing.
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat info{};
    const bool is_it = stream != nullptr && fstat(STDERR_FILENO, &info) == 0 &&
                       std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) == stream;
    return Journal(is_it ? kSocket : "");
}

Journal::Journal(const std::string& socket) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    if (socket.empty() || socket.size() >= sizeof to.sun_path) return;
    std::memcpy(to.sun_path, socket.data(), socket.size());
    descriptor_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return;
    close(descriptor_);
    descriptor_ = -1;
}

Journal::~Journal() {
    if (descriptor_ >= 0) close(descriptor_);
}

// A line for each field: no value has a line end in it (Log escapes them).
bool Journal::send(const LogRecord& record, Language language) const {
    if (descriptor_ < 0) return false;
    const EventInfo& info = event_info(record.id);
    const EventText& text = event_text(record.id, language);
    std::string out;
    const auto add = [&out](const std::string& name, Bytes value) {
        out.append(name).append("=").append(value).append("\n");
    };
    add("MESSAGE", std::string(text.sentence) + record.fields);
    add("PRIORITY", std::string(1, priority_of(info.severity)));
    add("SYSLOG_IDENTIFIER", "fedgated");
    add("FG_EVENT", "FG-" + std::to_string(info.number));
    add("FG_CAUSE", text.cause);
    add("FG_REMEDY", text.remedy);
    if (record.shard >= 0) add("FG_SHARD", std::to_string(record.shard));
    if (record.held_back != 0) add("FG_HELD_BACK", std::to_string(record.held_back));
    for (const auto& [key, value] : fields_of(record)) add(field_name(key), value);
    return ::send(descriptor_, out.data(), out.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(out.size());
}

}  // namespace fedgate
