# Tests against real peers: each has its own processes, directory and loopback addresses.
function(add_integration_test name script)
  add_test(NAME integration/${name} COMMAND ${Python3_EXECUTABLE} -u ${script} ${ARGN})
  set_tests_properties(integration/${name} PROPERTIES
    LABELS integration TIMEOUT 300
    ENVIRONMENT FEDGATE_BINARIES=${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
endfunction()

file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/integration/*_test.py)
foreach(script ${scripts})
  cmake_path(GET script STEM name)
  if(name STREQUAL "conversation_test")
    # Its classes are independent, and each takes its time: side by side.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${script})
    file(STRINGS ${script} classes REGEX "^class .*(Conversations|TestCase)\\)")
    foreach(class ${classes})
      string(REGEX REPLACE "class ([A-Za-z]+).*" "\\1" class ${class})
      add_integration_test(${name}.${class} ${script} ${class})
    endforeach()
  else()
    add_integration_test(${name} ${script})
  endif()
endforeach()

# The conversation that appliance/quickstart shows.
add_integration_test(quickstart ${PROJECT_SOURCE_DIR}/appliance/quickstart.py --once)

# The first time it fetches Debian's packages.
set_tests_properties(integration/image_test PROPERTIES TIMEOUT 600)
