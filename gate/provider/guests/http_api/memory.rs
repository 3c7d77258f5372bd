//! The memory of an instance, of which nothing is given back: an instance lives
//! for one execution. And what becomes of one that fails.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size, unreachable};
use core::cell::Cell;

const PAGE: usize = 64 << 10;

/// Memory from `next` on to `end` was never used, so it is zero.
struct Bump {
    next: Cell<usize>, // 0: nothing was asked for yet
    end: Cell<usize>,
}

// An instance has one thread.
unsafe impl Sync for Bump {}

#[global_allocator]
static BUMP: Bump = Bump { next: Cell::new(0), end: Cell::new(0) };

extern "C" {
    /// Where the linker's own data ends.
    static __heap_base: u8;
}

impl Bump {
    /// Moves `next` to `to`; false where there is no memory for that.
    fn reach(&self, to: usize) -> bool {
        if to > self.end.get() {
            let pages = (to - self.end.get() + PAGE - 1) / PAGE;
            if memory_grow(0, pages) == usize::MAX {
                return false;
            }
            self.end.set(self.end.get() + pages * PAGE);
        }
        self.next.set(to);
        true
    }
}

unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.next.get() == 0 {
            self.next.set(&__heap_base as *const u8 as usize);
            self.end.set(memory_size(0) * PAGE);
        }
        let at = (self.next.get() + layout.align() - 1) & !(layout.align() - 1);
        match at.checked_add(layout.size()) {
            Some(to) if self.reach(to) => at as *mut u8,
            _ => core::ptr::null_mut(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.alloc(layout)
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    /// The last block grows where it is.
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let at = ptr as usize;
        if size <= layout.size() {
            return ptr;
        }
        if at + layout.size() == self.next.get() {
            return match at.checked_add(size) {
                Some(to) if self.reach(to) => ptr,
                _ => core::ptr::null_mut(),
            };
        }
        let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
        if !new.is_null() {
            core::ptr::copy_nonoverlapping(ptr, new, layout.size());
        }
        new
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unreachable()
}

#[alloc_error_handler]
fn out_of_memory(_: Layout) -> ! {
    unreachable()
}
