# Writes the header of provenance: git revision, compiler and flags. Run as a script at every build; the
# file is rewritten only where something changed.
set(revision "unknown")
# Sources without a repository of their own, unpacked inside another one, have no revision.
get_filename_component(above ${SOURCE} DIRECTORY)
set(ENV{GIT_CEILING_DIRECTORIES} ${above})
find_program(GIT git)
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --short=12 HEAD OUTPUT_VARIABLE head
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(revision ${head})
    execute_process(COMMAND ${GIT} -C ${SOURCE} status --porcelain --untracked-files=no OUTPUT_VARIABLE changes
                    ERROR_QUIET)
    if(NOT changes STREQUAL "")
      set(revision "${revision}, modified")
    endif()
  endif()
endif()
foreach(text VERSION COMPILER FLAGS LIBRARIES revision) # they become C strings
  string(REPLACE "\\" "\\\\" ${text} "${${text}}")
  string(REPLACE "\"" "\\\"" ${text} "${${text}}")
endforeach()
configure_file(${SOURCE}/cmake/revision.h.in ${TARGET}/revision.h @ONLY)
