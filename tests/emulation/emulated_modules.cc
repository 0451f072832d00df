/* What the checker needs to know of the library or program it is linked into: where its static shared memory is (the
 * thread-local segment), which arrays are in it, and what is constant. */
#include "emulated_checker.h"
#include "emulated_internal.h"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

static __thread char anchor; /* with it the segment is never empty */

struct array {
    size_t at, bytes;
    std::string name;
};

static struct emulated_segment shared;
static std::vector<array> arrays;
static std::vector<std::pair<const char *, const char *>> constants;
static std::string file;

static int look_at(struct dl_phdr_info *info, size_t, void *) {
    const char *here = (const char *)&look_at;
    bool ours = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) &h = info->dlpi_phdr[i];
        const char *low = (const char *)info->dlpi_addr + h.p_vaddr;
        ours = ours || (h.p_type == PT_LOAD && here >= low && here < low + h.p_memsz);
    }
    if (!ours)
        return 0;
    file = info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe";
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) &h = info->dlpi_phdr[i];
        const char *low = (const char *)info->dlpi_addr + h.p_vaddr;
        if (h.p_type == PT_TLS)
            shared = {(const char *)info->dlpi_tls_data, h.p_memsz};
        if (h.p_type == PT_GNU_RELRO || (h.p_type == PT_LOAD && !(h.p_flags & PF_W)))
            constants.push_back({low, low + h.p_memsz});
    }
    return 1;
}

/* The thread-local symbols of the file. */
static void read_arrays(void) {
    const int descriptor = open(file.c_str(), O_RDONLY);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0)
        return;
    const char *image =
        (const char *)mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    if (image == MAP_FAILED)
        return;
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)image;
    const ElfW(Shdr) *sections = (const ElfW(Shdr) *)(image + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB)
            continue;
        const ElfW(Sym) *symbols = (const ElfW(Sym) *)(image + sections[i].sh_offset);
        const char *names = image + sections[sections[i].sh_link].sh_offset;
        for (size_t k = 0; k < sections[i].sh_size / sizeof *symbols; k++) {
            if (ELF64_ST_TYPE(symbols[k].st_info) != STT_TLS || symbols[k].st_shndx == SHN_UNDEF)
                continue;
            char *plain = abi::__cxa_demangle(names + symbols[k].st_name, NULL, NULL, NULL);
            arrays.push_back(
                {symbols[k].st_value, symbols[k].st_size, plain ? plain : names + symbols[k].st_name});
            free(plain);
        }
    }
    munmap((void *)image, (size_t)status.st_size);
    std::sort(arrays.begin(), arrays.end(), [](const array &a, const array &b) { return a.at < b.at; });
}

const struct emulated_segment &emulated_static_shared(void) {
    if (!shared.low) {
        anchor = 1; /* so that it is there */
        dl_iterate_phdr(look_at, NULL);
        read_arrays();
    }
    return shared;
}

bool emulated_shared_array(size_t at, size_t *low, size_t *bytes, const char **name) {
    auto after =
        std::upper_bound(arrays.begin(), arrays.end(), at, [](size_t x, const array &a) { return x < a.at; });
    if (arrays.empty()) { /* a stripped file: all of it */
        *low = 0, *bytes = shared.bytes, *name = "static shared memory";
        return true;
    }
    if (after == arrays.begin())
        return false;
    --after;
    *low = after->at, *bytes = after->bytes, *name = after->name.c_str();
    return true;
}

bool emulated_constant(const void *address) {
    for (const auto &c : constants)
        if ((const char *)address >= c.first && (const char *)address < c.second)
            return true;
    return false;
}
