// Chinese: an answer that the publisher computed beforehand.
import type { Dictionary } from '../shape';

export const example: Dictionary['example'] = {
  label: '预先算好的结果',
  mark: (variant, runtime) =>
    `这些数字是发布者针对这段示例，用 ${variant} 在 ${runtime} 中预先算好的。`,
  waiting: '模型本身还在下载，你输入的文字会在它打开后立即运行。',
  waits: '模型还在下载，打开后可用',
  queued: '模型一打开，就会运行你的文字。',
  failed: '发布者预先算好的示例与清单不符，已略过。模型照常打开。',
};
