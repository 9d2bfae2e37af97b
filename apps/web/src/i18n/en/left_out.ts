// English: activations left out for want of memory.
import type { RoomLimit } from '../../inference/activation_memory';
import { count } from '../number_format';

export const leftOut = {
  what: (open: number, all: number) =>
    `${count(open)} of the ${count(all)} activations asked for ${open === 1 ? 'is' : 'are'} open.`,
  why: (size: string, tokens: number, room: string, limit: RoomLimit) =>
    `With this text of ${count(tokens)} tokens all of them would take about ${size}. ${
      {
        heap: `WebAssembly has room for about ${room} beside the weights.`,
        memory: `Of this device’s memory the page counts on ${room} for them.`,
        failed: `There was too little memory before, so no more than ${room} are used for them now.`,
      }[limit]
    } A shorter text needs much less.`,
  exported: 'Open only what was exported',
  all: 'Open all the same',
  allMeaning: 'If the memory is not enough, the page opens fewer again by itself',
};
