// The entry point of the worker that runs chat templates.
import { renderChat, type Chat } from '../tokenizer/render_chat';

self.addEventListener('message', ({ data }: MessageEvent<Chat>) => {
  self.postMessage(renderChat(data));
});
// Its time counts from here on: the script took its own.
self.postMessage({ kind: 'ready' });
