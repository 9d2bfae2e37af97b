// Chinese: activations left out for want of memory.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const leftOut: Dictionary['leftOut'] = {
  what: (open, all) => `要求打开的 ${count(all)} 个激活中，已打开 ${count(open)} 个。`,
  why: (size, tokens, room, limit) =>
    `这段文本有 ${count(tokens)} 个词元，全部打开约需 ${size}。${
      {
        heap: `除权重以外，WebAssembly 大约还能容纳 ${room}。`,
        memory: `按本设备的内存估计，页面可为激活使用 ${room}。`,
        failed: `此前内存不够，所以现在最多使用 ${room}。`,
      }[limit]
    }较短的文本所需的内存要少得多。`,
  exported: '只打开已导出的激活',
  all: '仍然全部打开',
  allMeaning: '如果内存不够，页面会自动减少打开的激活',
};
