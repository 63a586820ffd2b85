# Tests against real peers: each has its own processes, directory and loopback addresses.
file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/integration/*_test.py)
foreach(script ${scripts})
  cmake_path(GET script STEM name)
  add_test(NAME integration/${name} COMMAND ${Python3_EXECUTABLE} -u ${script})
  set_tests_properties(integration/${name} PROPERTIES
    LABELS integration TIMEOUT 300
    ENVIRONMENT FEDGATE_BINARIES=${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
endforeach()
