# cmake --install BUILD --prefix PREFIX: a tree that works wherever it is moved. The program finds its CUDA library
# in ../lib beside itself; MPI, HDF5 and the rest are those of the machine.
include(GNUInstallDirs)
set(epflow_shared ${CMAKE_INSTALL_DATADIR}/epflow)

# The manual page and the completions are printed by the program. These forms start no MPI, which login and build
# nodes of clusters may refuse.
set(epflow_printed)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share)
foreach(printed "man epflow.1" "completion epflow.bash" "completion-zsh epflow.zsh" "completion-fish epflow.fish")
  string(REPLACE " " ";" printed ${printed})
  list(POP_FRONT printed form)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/share/${printed} DEPENDS epflow
                     COMMAND epflow help ${form} > ${CMAKE_BINARY_DIR}/share/${printed} VERBATIM)
  list(APPEND epflow_printed ${CMAKE_BINARY_DIR}/share/${printed})
endforeach()
add_custom_target(manual ALL DEPENDS ${epflow_printed})

install(TARGETS epflow RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET epflow_cuda)
  install(TARGETS epflow_cuda LIBRARY DESTINATION lib) # where the program looks, on systems with lib64, too
endif()
install(FILES ${CMAKE_BINARY_DIR}/share/epflow.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/share/epflow.bash RENAME epflow
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${CMAKE_BINARY_DIR}/share/epflow.zsh RENAME _epflow
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${CMAKE_BINARY_DIR}/share/epflow.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(DIRECTORY inputs jobscripts DESTINATION ${epflow_shared} USE_SOURCE_PERMISSIONS)
install(DIRECTORY tools/plots DESTINATION ${epflow_shared}/tools PATTERN __pycache__ EXCLUDE)
install(PROGRAMS tools/plot.py tools/compare-models DESTINATION ${epflow_shared}/tools)
install(FILES cmake/modulefile RENAME ${PROJECT_VERSION} DESTINATION ${CMAKE_INSTALL_DATADIR}/modulefiles/epflow)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN *.md PATTERN *.png)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
