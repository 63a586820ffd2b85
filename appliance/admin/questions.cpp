#include "appliance/admin/questions.hpp"

#include <fcntl.h>
#include <istream>
#include <ostream>
#include <termios.h>
#include <unistd.h>

#include "appliance/admin/show.hpp"
#include "core/config/text.hpp"

namespace fedgate::admin {
namespace {

// Of the terminal of this process, whatever standard input is.
class NoEcho {
public:
    NoEcho()
        : terminal_(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)),
          known_(tcgetattr(terminal_, &before_) == 0) {
        if (!known_) return;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        tcsetattr(terminal_, TCSANOW, &silent);
    }
    ~NoEcho() {
        if (known_) tcsetattr(terminal_, TCSANOW, &before_);
        if (terminal_ >= 0) close(terminal_);
    }
    NoEcho(const NoEcho&) = delete;
    NoEcho& operator=(const NoEcho&) = delete;

private:
    int terminal_;
    termios before_{};
    bool known_;
};

}  // namespace

bool wants_questions(const std::map<std::string, std::string>& options, bool terminal, bool json) {
    return options.contains("--ask") || (terminal && !options.contains("--yes") && !json);
}

bool ask_question(std::istream& in, std::ostream& out, const std::string& question,
                  const std::string& proposed, std::string& answer) {
    const std::string text = question + (proposed.empty() ? "" : " [" + proposed + "]") + ": ";
    out << for_terminal(text) << std::flush;
    std::string line;
    if (!std::getline(in, line)) return false;
    answer = config::trim(line);
    if (answer.empty()) answer = proposed;
    return true;
}

bool ask_secret(std::istream& in, std::ostream& out, const std::string& question,
                std::string& answer) {
    out << for_terminal(question) << ": " << std::flush;
    bool good = false;
    {
        const NoEcho silent;
        good = static_cast<bool>(std::getline(in, answer));
    }
    out << "\n";
    return good;
}

}  // namespace fedgate::admin
