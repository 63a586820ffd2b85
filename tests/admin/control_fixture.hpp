// The control thread and fedctl together, over a real socket.
#pragma once

#include <arpa/inet.h>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "appliance/admin/client.hpp"
#include "appliance/admin/configuration.hpp"
#include "appliance/admin/control.hpp"
#include "appliance/admin/notify.hpp"
#include "appliance/admin/tool.hpp"
#include "tests/admin/fake_host.hpp"

namespace fedgate::admin {

struct Outcome {
    int status;
    std::string out;
    std::string err;
};

class ControlTest : public testing::Test {
protected:
    void SetUp() override {
        Control::block_signals();
        std::string name = testing::TempDir() + "fedgate-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
        socket_ = directory_ + "/run/fedgate/admin.sock";  // in a folder that is not there
        file_ = directory_ + "/f.conf";
        std::ofstream(file_) << "admin.socket = " << socket_
                             << "\nadmin.http.listen = 127.0.0.1:0\n"
                                "federation.allow = yes\n"
                                "domain/sip.example/phone = no\n"
                                "partner/xmpp.example/type = federated\n"
                                "policy/global/federation_access = yes\n"
                                "xmpp.dialback.secret = hush\n"
                                "dirs.state = "
                             << directory_ << "/state\n";
        configuration_ = std::make_unique<Configuration>(config::Sources{file_, {}, ""});
        config::Problems problems;
        ASSERT_NE(configuration_->load(problems), nullptr);
        control_ = std::make_unique<Control>(host_, *configuration_);
    }
    void TearDown() override {
        stop();
        control_.reset();
        std::filesystem::remove_all(directory_);
    }

    void start() {
        std::string why;
        ASSERT_TRUE(control_->open(why)) << why;
        thread_ = std::thread([this] { control_->run(std::chrono::seconds(5)); });
    }
    void stop() {
        if (!thread_.joinable()) return;
        kill(getpid(), SIGTERM);
        thread_.join();
    }

    Outcome fedctl(std::vector<std::string> arguments, const std::string& input = "") {
        std::istringstream in(input);
        std::ostringstream out;
        std::ostringstream err;
        arguments.insert(arguments.begin(), {"-s", socket_});
        const int status = run_tool(arguments, in, out, err);
        return {status, out.str(), err.str()};
    }

    int connect_to_socket() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, socket_.data(), socket_.size());
        const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
        return descriptor;
    }
    static std::string read_all(int descriptor) {
        std::string text;
        char buffer[4096];
        ssize_t size;
        while ((size = recv(descriptor, buffer, sizeof buffer, 0)) > 0) {
            text.append(buffer, static_cast<std::size_t>(size));
        }
        close(descriptor);
        return text;
    }

    std::string directory_;
    std::string socket_;
    std::string file_;
    FakeHost host_;
    std::unique_ptr<Configuration> configuration_;
    std::unique_ptr<Control> control_;
    std::thread thread_;
};

}  // namespace fedgate::admin
