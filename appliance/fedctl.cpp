// The administrator's tool: asks a running fedgated over its UNIX socket.
#include <iostream>

#include "appliance/admin/tool.hpp"

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    return fedgate::admin::run_tool(arguments, std::cin, std::cout, std::cerr);
}
