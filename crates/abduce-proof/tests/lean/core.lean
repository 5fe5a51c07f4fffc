-- A small core for tests of Lean without its library: names and types are those that Lean's elaborator looks up. CC0-1.0.
prelude
set_option autoImplicit false
set_option linter.all false
set_option genCtorIdx false
set_option genInjectivity false
universe u v w
unsafe axiom lcErased : Type
unsafe axiom lcAny : Type
unsafe axiom lcVoid : Type
unsafe axiom lcProof : {p : Prop} → p
unsafe axiom lcCast : {α : Sort u} → {β : Sort v} → α → β
unsafe axiom lcUnreachable : {α : Sort u} → α
inductive Bool : Type where
  | false : Bool
  | true : Bool
axiom sorryAx (α : Sort u) (synthetic : Bool) : α
-- Bridge fragment: registers tactic syntax that lives as native data in libleanshared.so.
-- Goes into a self-written `prelude` core file (see README.md); not a complete file by itself.
axiom Lean.ParserDescr : Type
namespace Lean.Parser.Tactic
@[tactic_parser, extern "lean_bridge"] axiom apply : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom exact : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom assumption : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom intro : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom intros : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom cases : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom constructor : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom induction : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom refine : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom left : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom right : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom subst : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom contradiction : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom revert : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom clear : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom rewriteSeq : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom generalize : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom injection : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom case : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom simp : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom omega : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom eqRefl : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom allGoals : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom unfold : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom traceState : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom skip : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom first : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom dsimp : Lean.ParserDescr
@[tactic_parser, extern "lean_bridge"] axiom rotateLeft : Lean.ParserDescr
end Lean.Parser.Tactic
set_option bootstrap.inductiveCheckResultingUniverse false in
inductive PUnit : Sort u where
  | unit : PUnit
inductive Eq {α : Sort u} : α → α → Prop where
  | refl (a : α) : Eq a a
def id {α : Sort u} (a : α) : α := a
@[reducible] def Eq.ndrec.{u1, u2} {α : Sort u2} {a : α} {motive : α → Sort u1} (m : motive a) {b : α} (h : Eq a b) : motive b :=
  Eq.rec (motive := fun x _ => motive x) m h
inductive HEq {α : Sort u} (a : α) : {β : Sort u} → β → Prop where
  | refl : HEq a a
inductive True : Prop where
  | intro : True
inductive False : Prop
def Not (p : Prop) : Prop := p → False
def False.elim {C : Sort u} (h : False) : C := False.rec (motive := fun _ => C) h
theorem rfl {α : Sort u} {a : α} : Eq a a := Eq.refl a
theorem Eq.symm {α : Sort u} {a b : α} (h : Eq a b) : Eq b a := Eq.rec (motive := fun x _ => Eq x a) (Eq.refl a) h
theorem Eq.trans {α : Sort u} {a b c : α} (h : Eq a b) (k : Eq b c) : Eq a c := Eq.rec (motive := fun x _ => Eq a x) h k
def Eq.mp {α β : Sort u} (h : Eq α β) (a : α) : β := Eq.rec (motive := fun x _ => x) a h
def Eq.mpr {α β : Sort u} (h : Eq α β) (b : β) : α := Eq.mp (Eq.symm h) b
theorem congrArg {α : Sort u} {β : Sort v} {a b : α} (f : α → β) (h : Eq a b) : Eq (f a) (f b) :=
  Eq.rec (motive := fun x _ => Eq (f a) (f x)) (Eq.refl (f a)) h
theorem eq_of_heq {α : Sort u} {a b : α} (h : HEq a b) : Eq a b :=
  HEq.rec (motive := fun {γ} (x : γ) _ => (e : Eq α γ) → Eq (Eq.rec (motive := fun δ _ => δ) a e) x) (fun _ => Eq.refl a) h (Eq.refl α)
theorem heq_of_eq {α : Sort u} {a b : α} (h : Eq a b) : HEq a b := Eq.rec (motive := fun x _ => HEq a x) HEq.refl h
inductive And (a b : Prop) : Prop where
  | intro (left : a) (right : b) : And a b
inductive Or (a b : Prop) : Prop where
  | inl (h : a) : Or a b
  | inr (h : b) : Or a b
inductive Iff (a b : Prop) : Prop where
  | intro (mp : a → b) (mpr : b → a) : Iff a b
inductive Exists {α : Sort u} (p : α → Prop) : Prop where
  | intro (w : α) (h : p w) : Exists p
set_option bootstrap.inductiveCheckResultingUniverse false in
inductive PProd (α : Sort u) (β : Sort v) : Sort (max 1 u v) where
  | mk (fst : α) (snd : β) : PProd α β
inductive Nat : Type where
  | zero : Nat
  | succ (n : Nat) : Nat
noncomputable def add (m n : Nat) : Nat := Nat.rec (motive := fun _ => Nat) m (fun _ r => Nat.succ r) n
theorem add_zero (m : Nat) : Eq (add m Nat.zero) m := Eq.refl m
theorem add_succ (m n : Nat) : Eq (add m (Nat.succ n)) (Nat.succ (add m n)) := Eq.refl (Nat.succ (add m n))
