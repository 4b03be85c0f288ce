"""What must not be asked and what must not be answered: a word list of the operator's own, and a moderator at Aliyun or
Tencent Cloud. The relay asks the guard before it holds anything, and while an answer passes; it knows no more of it."""
