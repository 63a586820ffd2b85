#include "appliance/admin/tool.hpp"

#include <iostream>
#include <iterator>
#include <string_view>
#include <unistd.h>

#include "appliance/admin/backup_tool.hpp"
#include "appliance/admin/certificate_tool.hpp"
#include "appliance/admin/client.hpp"
#include "appliance/admin/events.hpp"
#include "appliance/admin/help.hpp"
#include "appliance/admin/machine_tool.hpp"
#include "appliance/admin/remote_client.hpp"
#include "appliance/admin/report_tool.hpp"
#include "appliance/admin/setup.hpp"
#include "appliance/admin/show.hpp"
#include "appliance/admin/tool_verbs.hpp"
#include "appliance/admin/top.hpp"
#include "appliance/admin/trace_tool.hpp"
#include "appliance/admin/words.hpp"

namespace fedgate::admin {
namespace {

class Tool : public ToolVerbs {
public:
    Tool(std::istream& in, std::ostream& out, std::ostream& err)
        : ToolVerbs(
              {in, out, err, false, [this](const Json& request, Json& answer, std::string& why) {
                   return ask_daemon(request, answer, why);
               }}) {}
    Tool(const Tool&) = delete;
    Tool& operator=(const Tool&) = delete;

    int run(std::vector<std::string> words) {
        std::vector<std::string> rest;
        for (std::size_t i = 0; i < words.size(); ++i) {
            if (words[i] == "--json") {
                terminal_.json = true;
            } else if (std::string* value = rest.empty() ? value_of(words[i]) : nullptr) {
                if (i + 1 == words.size())
                    return usage(words[i] == "-s" ? "-s needs the socket's path"
                                                  : words[i] + " needs a value");
                *value = words[++i];
            } else if (words[i] == "-h" || words[i] == "--help") {
                rest = {"help"};
                break;
            } else if (rest.empty() && words[i] == "--version") {
                rest = {"version"};
            } else if (rest.empty() && words[i].starts_with("-")) {
                return usage("there is no option " + words[i]);
            } else {
                rest.push_back(words[i]);
            }
        }
        if (rest.empty()) {
            err_ << help_text();
            return kExitUsage;
        }
        const std::string verb = rest.front();
        rest.erase(rest.begin());
        if (!remote_.host.empty()) {
            if (const std::string why = why_not_remote(verb); !why.empty()) return usage(why);
        }
        return dispatch(verb, rest);
    }

private:
    int dispatch(const std::string& verb, const std::vector<std::string>& rest) {
        if (verb == "help") {
            out_ << help_text();
            return kExitOk;
        }
        if (verb == "version") {
            out_ << "fedctl " << FEDGATE_VERSION << "\n";
            return kExitOk;
        }
        const auto& [in, out, err, json, daemon] = terminal_;
        const bool from_terminal = &in == &std::cin && isatty(STDIN_FILENO) != 0;
        const bool to_terminal = &out == &std::cout && isatty(STDOUT_FILENO) != 0;
        if (verb == "sysctl") return run_sysctl_verb(terminal_, rest);
        if (verb == "partner" || verb == "policy" || verb == "user" || verb == "site" ||
            verb == "pool" || verb == "route" || verb == "config" || verb == "cs")
            return run_commit_verb(terminal_, verb, rest);
        if (verb == "dns" || verb == "doctor" || verb == "test")
            return run_check_verb(terminal_, verb, rest);
        if (verb == "report") return report(rest);
        if (verb == "explain") {
            if (rest.size() != 2)
                return usage("explain takes two addresses: fedctl explain FROM TO");
            return tell({{"verb", "explain"}, {"arguments", rest}}, show_explain);
        }
        if (verb == "services") {
            return tell({{"verb", "services"}, {"arguments", rest}}, show_services);
        }
        if (verb == "cert")
            return run_certificate_tool({in, out, err, json, from_terminal, daemon}, rest);
        if (verb == "trace") return run_trace_tool({out, err, json, daemon}, rest);
        if (verb == "events") return run_events_tool({out, err, json, daemon}, rest);
        if (verb == "top") return run_top({out, err, json, to_terminal, daemon}, rest);
        if (verb == "setup") return run_setup({in, out, err, json, from_terminal, daemon}, rest);
        if (verb == "firewall" || verb == "kernel")
            return run_machine_tool({out, err, json, daemon}, verb, rest);
        if (verb == "backup" || verb == "restore")
            return run_backup_tool({in, out, err, json, to_terminal, from_terminal, daemon}, verb,
                                   rest);
        if (verb == "factory-reset") return factory_reset(rest);
        return without_words(verb, rest);
    }

    int without_words(const std::string& verb, const std::vector<std::string>& rest) {
        if (!is_one_of(kVerbs, verb)) return usage(unknown("there is no verb", verb, kVerbs));
        if (!rest.empty()) return usage(verb + " takes nothing more, not '" + rest.front() + "'");
        if (verb == "status") return tell({{"verb", "status"}}, show_status);
        if (verb == "ports") return tell({{"verb", "ports"}}, show_ports);
        if (verb == "streams") return tell({{"verb", "streams"}}, show_streams);
        if (verb == "appliance") {
            return tell({{"verb", "appliance"}, {"action", "show"}},
                        [](const Json& answer) { return string_of(answer, "page"); });
        }
        if (verb == "reload") {
            return tell({{"verb", "sysctl"}, {"action", "reload"}},
                        [](const Json& answer) { return show_changes(answer, false); });
        }
        return tell({{"verb", "counters"}}, show_counters);
    }

    int report(const std::vector<std::string>& rest) {
        const auto run = [this](const std::vector<std::string>& words, std::ostream& out,
                                std::ostream& err) {
            Tool part(terminal_.in, out, err);
            part.terminal_.json = terminal_.json;
            part.socket_ = socket_;
            part.remote_ = remote_;
            return part.dispatch(words.front(), {std::next(words.begin()), words.end()});
        };
        return run_report_tool({out_, err_, terminal_.json, run}, rest);
    }

    bool ask_daemon(const Json& request, Json& answer, std::string& why) {
        return remote_.host.empty() ? ask(socket_, request, answer, why)
                                    : ask_remote(remote_, request, answer, why);
    }

    // Of the options before the verb. Null: it is none.
    std::string* value_of(const std::string& option) {
        return option == "-s"              ? &socket_
               : option == "--host"        ? &remote_.host
               : option == "--address"     ? &remote_.address
               : option == "--certificate" ? &remote_.certificate
               : option == "--key"         ? &remote_.key
               : option == "--authority"   ? &remote_.authority
                                           : nullptr;
    }

    // What needs the other machine's own files or eyes. Empty: it can be done from here.
    std::string why_not_remote(const std::string& verb) const {
        if (remote_.certificate.empty() || remote_.key.empty() || remote_.authority.empty())
            return "--host needs --certificate FILE, --key FILE and --authority FILE";
        constexpr std::string_view kOfFiles[] = {"cert", "setup", "backup", "restore"};
        if (!is_one_of(kOfFiles, verb)) return {};
        return verb +
               " works on the files of its machine: say it there, without --host; an appliance "
               "takes such files by its EFI system partition";
    }

    int factory_reset(const std::vector<std::string>& rest) {
        if (rest != std::vector<std::string>{"--yes"}) {
            return usage(
                "configuration, keys, state and journal of the appliance are lost by it; if "
                "you are sure: fedctl factory-reset --yes");
        }
        return tell({{"verb", "appliance"}, {"action", "reset"}}, [](const Json&) {
            return std::string(
                "asked for: it starts again within some seconds, as if it were new; fedctl "
                "appliance says if it can't\n");
        });
    }

    std::string socket_ = "/run/fedgate/admin.sock";
    RemoteServer remote_;
};

}  // namespace

int run_tool(const std::vector<std::string>& arguments, std::istream& in, std::ostream& out,
             std::ostream& err) {
    return Tool(in, out, err).run(arguments);
}

}  // namespace fedgate::admin
