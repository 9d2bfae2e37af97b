// Chinese: a conversation in the model's own template.
import { count } from '../number_format';
import type { Dictionary } from '../shape';

export const chat: Dictionary['chat'] = {
  title: '对话',
  about:
    '这个模型自带对话模板，训练时的对话就是这样写的。模板把各条消息连成一段文本，并在前后加上特殊词元，模型由此往下读。',
  template: '模板',
  system: '系统消息（可留空）',
  user: '用户消息',
  rendered: '模型将读到的文本',
  marked:
    '带框的部分是特殊词元，每个框是一个词元。分词器不会在这段文本前再加词元，该加的模板都已加好。',
  special: '特殊词元',
  use: '运行这段文本',
  refused: (detail) => `模板不接受这样的对话：${detail}`,
  tooLong: (characters, limit) =>
    `模板生成了 ${count(characters)} 个字符，本页最多接受 ${count(limit)} 个。请缩短消息。`,
  tooSlow: (seconds) => `模板运行了 ${count(seconds)} 秒，已被停止。请直接在上方的框中写文本。`,
};
