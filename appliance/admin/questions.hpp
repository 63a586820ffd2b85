// Questions of fedctl to whoever sits before it. Each has an option that answers it beforehand.
#pragma once

#include <iosfwd>
#include <map>
#include <string>

namespace fedgate::admin {

// Is somebody asked? `options`: as typed; --ask and --yes decide, else whether there is a terminal.
[[nodiscard]] bool wants_questions(const std::map<std::string, std::string>& options, bool terminal,
                                   bool json);

// `question [proposed]: `, and what was typed; Enter takes what is proposed. False: nobody answers
// any more.
[[nodiscard]] bool ask_question(std::istream& in, std::ostream& out, const std::string& question,
                                const std::string& proposed, std::string& answer);
// What is typed is not shown.
[[nodiscard]] bool ask_secret(std::istream& in, std::ostream& out, const std::string& question,
                              std::string& answer);

}  // namespace fedgate::admin
