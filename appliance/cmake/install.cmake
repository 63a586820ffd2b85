# `cmake --install build/release [--prefix /usr] [--strip]`: the programs, their manual pages, bash's
# completion, what systemd needs, and a first configuration where there is none. The pages and the completion are made of what the programs say (appliance/manual.cpp).
include(GNUInstallDirs)

add_executable(manual appliance/manual.cpp)
target_link_libraries(manual PRIVATE core_config)

set(made ${CMAKE_BINARY_DIR}/share)
file(MAKE_DIRECTORY ${made}/help ${made}/man/man1 ${made}/man/man5 ${made}/man/man8
  ${made}/bash-completion/completions)

function(fedgate_page program section)
  set(page ${made}/man/man${section}/${program}.${section})
  set(template ${PROJECT_SOURCE_DIR}/appliance/man/${program}.${section})
  if(TARGET ${program})
    set(help ${made}/help/${program})
    add_custom_command(OUTPUT ${help} COMMAND ${program} --help > ${help} DEPENDS ${program} VERBATIM)
  endif()
  add_custom_command(OUTPUT ${page} COMMAND manual ${template} ${help} > ${page}
    DEPENDS manual ${template} ${help} VERBATIM)
  set(pages ${pages} ${page} PARENT_SCOPE)
endfunction()

fedgate_page(fedctl 1)
fedgate_page(fedload 1)
fedgate_page(fedgate.conf 5)
fedgate_page(fedgated 8)
set(completion ${made}/bash-completion/completions/fedctl)
add_custom_command(OUTPUT ${completion} COMMAND manual --completion ${made}/help/fedctl > ${completion}
  DEPENDS manual ${made}/help/fedctl VERBATIM)
add_custom_target(manuals ALL DEPENDS ${pages} ${completion})

install(TARGETS fedctl fedload DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS fedgated DESTINATION ${CMAKE_INSTALL_SBINDIR})
install(DIRECTORY ${made}/man ${made}/bash-completion DESTINATION ${CMAKE_INSTALL_DATADIR})

# systemd looks in /usr/lib and /usr/local/lib, whatever the machine's libraries are kept in.
set(systemd ${PROJECT_SOURCE_DIR}/appliance/systemd)
install(FILES ${systemd}/sysusers.conf DESTINATION lib/sysusers.d RENAME fedgate.conf)
install(FILES ${systemd}/tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME fedgate.conf)
install(FILES ${systemd}/fedgate-firewall.path DESTINATION lib/systemd/system)
install(CODE "
  set(FEDGATE_SBIN \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SBINDIR}\")
  set(root \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
  set(FEDGATE_BIN \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  configure_file(${systemd}/fedgate-firewall.service.in \"\${root}/lib/systemd/system/fedgate-firewall.service\" @ONLY)
  configure_file(${systemd}/fedgated.service.in \"\${root}/lib/systemd/system/fedgated.service\" @ONLY)
  set(etc \"\${CMAKE_INSTALL_PREFIX}/etc/fedgate\")
  if(CMAKE_INSTALL_PREFIX STREQUAL /usr)
    set(etc /etc/fedgate)
  endif()
  if(NOT EXISTS \"\$ENV{DESTDIR}\${etc}/fedgate.conf\")  # file() puts DESTDIR before it by itself
    file(INSTALL ${systemd}/fedgate.conf DESTINATION \"\${etc}\"
      PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
  endif()
")
